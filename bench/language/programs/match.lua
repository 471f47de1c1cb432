-- SPDX-License-Identifier: Apache-2.0
local function shape(i)
  local kind = i % 4
  if kind == 0 then return {"circle", i} end
  if kind == 1 then return {"rectangle", i, 3} end
  if kind == 2 then return {line = i} end
  return i
end

local function area(s)
  if type(s) == "table" then
    if s[1] == "circle" and #s == 2 then return 3 * s[2] end
    if s[1] == "rectangle" and #s == 3 then return s[2] * s[3] end
    if s.line then return s.line + 1 end
  elseif s == 0 then
    return 0
  elseif s % 2 == 1 then
    return s
  end
  return -1
end

local sum = 0
for i = 0, 1000000 - 1 do
  sum = sum + area(shape(i))
end
return sum
