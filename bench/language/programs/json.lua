-- SPDX-License-Identifier: Apache-2.0
-- JSON as Lua programs carry it with them: string patterns to read, one growing list of pieces to write.
local escapes = {['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t"}
local null = {}
local read_value

local function read_string(s, at)
  local stop = s:find('["\\]', at)
  if s:sub(stop, stop) == '"' then return s:sub(at, stop - 1), stop + 1 end
  local parts = {}
  while true do
    parts[#parts + 1] = s:sub(at, stop - 1)
    if s:sub(stop, stop) == '"' then return table.concat(parts), stop + 1 end
    local e = s:sub(stop + 1, stop + 1)
    if e == "u" then
      parts[#parts + 1] = string.char(tonumber(s:sub(stop + 2, stop + 5), 16)) -- this text has ASCII only
      at = stop + 6
    else
      parts[#parts + 1] = escapes[e]
      at = stop + 2
    end
    stop = s:find('["\\]', at)
  end
end

local function read_array(s, at)
  local out, n = {}, 0
  at = s:find("%S", at)
  if s:sub(at, at) == "]" then return out, at + 1 end
  while true do
    n = n + 1
    out[n], at = read_value(s, at)
    at = s:find("%S", at)
    local c = s:sub(at, at)
    at = at + 1
    if c == "]" then return out, at end
    if c ~= "," then error("expected , or ] at " .. at) end
  end
end

local function read_object(s, at)
  local out, key = {}, nil
  at = s:find("%S", at)
  if s:sub(at, at) == "}" then return out, at + 1 end
  while true do
    at = s:find('"', at, true)
    key, at = read_string(s, at + 1)
    at = s:find(":", at, true) + 1
    out[key], at = read_value(s, at)
    at = s:find("%S", at)
    local c = s:sub(at, at)
    at = at + 1
    if c == "}" then return out, at end
    if c ~= "," then error("expected , or } at " .. at) end
  end
end

function read_value(s, at)
  at = s:find("%S", at)
  local c = s:sub(at, at)
  if c == '"' then return read_string(s, at + 1) end
  if c == "{" then return read_object(s, at + 1) end
  if c == "[" then return read_array(s, at + 1) end
  if c == "t" then return true, at + 4 end
  if c == "f" then return false, at + 5 end
  if c == "n" then return null, at + 4 end
  local _, stop = s:find("^-?[%d.eE+-]+", at)
  return tonumber(s:sub(at, stop)), stop + 1
end

local names = {['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t"}
local function escape(c)
  return names[c] or string.format("\\u%04x", c:byte())
end
local function quoted(s)
  return '"' .. s:gsub('[%c"\\]', escape) .. '"'
end

local function write(v, out)
  local kind = type(v)
  if kind == "string" then
    out[#out + 1] = quoted(v)
  elseif kind == "number" then
    out[#out + 1] = tostring(v)
  elseif kind == "boolean" then
    out[#out + 1] = tostring(v)
  elseif v == null then
    out[#out + 1] = "null"
  elseif v[1] ~= nil then
    for i = 1, #v do
      out[#out + 1] = i == 1 and "[" or ","
      write(v[i], out)
    end
    out[#out + 1] = "]"
  else
    local first = true
    for k, item in pairs(v) do
      out[#out + 1] = first and "{" or ","
      out[#out + 1] = quoted(k)
      out[#out + 1] = ":"
      write(item, out)
      first = false
    end
    out[#out + 1] = first and "{}" or "}"
  end
end

local orders = read_value(TEXT, 1)
local out = {}
write(orders, out)
local sum = #table.concat(out)
for _, order in ipairs(orders) do
  sum = sum + order.id
end
return sum
