-- Load for wrk: asks the queries of a file in turn; with "cold" every text is made new by a comment.
-- Arguments: file with one URL-encoded query a line, "hot", "cold" or "posted" (hot, as a form), media type, a number
-- that differs between runs.
local queries = {}
local count = 0
local path, cold, posted, run

function init(args)
  for line in io.lines(args[1]) do queries[#queries + 1] = line end
  cold = args[2] == "cold"
  posted = args[2] == "posted"
  wrk.headers["Accept"] = args[3]
  run = args[4]
  path = wrk.path
  math.randomseed(tonumber(run) or 0)
  count = math.random(#queries)
end

function request()
  count = count + 1
  local query = queries[count % #queries + 1]
  if posted then
    local form = { ["Content-Type"] = "application/x-www-form-urlencoded", ["Accept"] = wrk.headers["Accept"] }
    return wrk.format("POST", path, form, "query=" .. query)
  end
  if cold then query = query .. "%20%23" .. run .. "-" .. count end
  return wrk.format("GET", path .. "?query=" .. query)
end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration, failed,
    latency:percentile(50), latency:percentile(99)))
end
