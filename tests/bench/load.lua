-- Load for wrk: asks the queries of a file in turn.
-- Arguments: file with one URL-encoded query a line, how (below), media type, a number that differs between runs.
--   hot        as they are
--   posted     hot, as a form
--   commented  each with a comment that no other has
--   cold       each a query that no other is: it declares a prefix that is in no other, and in no use
local queries = {}
local count = 0
local path, how, run

function init(args)
  for line in io.lines(args[1]) do queries[#queries + 1] = line end
  how = args[2]
  wrk.headers["Accept"] = args[3]
  run = args[4]
  path = wrk.path
  math.randomseed(tonumber(run) or 0)
  count = math.random(#queries)
end

function request()
  count = count + 1
  local query = queries[count % #queries + 1]
  if how == "posted" then
    local form = { ["Content-Type"] = "application/x-www-form-urlencoded", ["Accept"] = wrk.headers["Accept"] }
    return wrk.format("POST", path, form, "query=" .. query)
  end
  if how == "commented" then query = query .. "%20%23" .. run .. "-" .. count end
  if how == "cold" then query = "PREFIX%20n" .. run .. "-" .. count .. ":%3Curn:n%3E%20" .. query end
  return wrk.format("GET", path .. "?query=" .. query)
end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration, failed,
    latency:percentile(50), latency:percentile(99)))
end
