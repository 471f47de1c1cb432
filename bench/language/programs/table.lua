-- SPDX-License-Identifier: Apache-2.0
local m = {}
for i = 0, 1000000 - 1 do
  local k = i * 7919 % 100003
  m[k] = i + (m[k] or 0)
end
local sum = 0
for _, v in pairs(m) do
  sum = sum + v + 1
end
return sum
