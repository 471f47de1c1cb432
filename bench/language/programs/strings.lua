-- SPDX-License-Identifier: Apache-2.0
local parts = {}
for i = 0, 1000000 - 1 do
  parts[#parts + 1] = "field" .. i
end
local text = table.concat(parts, ",")
local fields = {}
for field in text:gmatch("[^,]+") do
  fields[#fields + 1] = field
end
local sum = 0
for i = 1, #fields do
  sum = sum + #fields[i]
end
return #fields + #text + sum
