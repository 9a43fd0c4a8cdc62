-- Turns the path of a segment into fields.
function from_path(tag, timestamp, record)
    local alloc, task, stream, segment =
        record.path:match("/allocs/([^/]+)/alloc/logs/([^/]+)%.(std%a+)%.(%d+)$")
    if not alloc then
        return -1, timestamp, record -- no segment
    end
    record.path = nil
    record.alloc, record.task, record.stream, record.segment = alloc, task, stream, segment
    return 1, timestamp, record
end
