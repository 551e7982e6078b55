-- Says what Apache reads of a request.
function read(r)
    r.content_type = "text/plain"
    local body = r:requestbody() or ""
    local lines = {
        "method " .. r.method,
        "target " .. r.unparsed_uri,
        "host " .. (r.headers_in["Host"] or ""),
    }
    -- It hands no chunked body to Lua; where that ends, the next request tells.
    if not r.headers_in["Transfer-Encoding"] then
        lines[#lines + 1] = "length " .. #body
    end
    for name, value in pairs(r:headers_in_table()) do
        lines[#lines + 1] = "header " .. name:lower() .. " " .. value
    end
    lines[#lines + 1] = "path " .. r.uri
    r:puts(table.concat(lines, "\n"))
    return apache2.OK
end
