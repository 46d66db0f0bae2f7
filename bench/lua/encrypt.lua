-- POSTs the body given after `--` and ends with one line of JSON on stdout.
function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = args[1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"ops_per_s":%.3f,"p50_us":%d,"p95_us":%d,"p99_us":%d,"failed":%d,"broken":%d}\n',
    summary.requests * 1e6 / summary.duration,
    latency:percentile(50), latency:percentile(95), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
