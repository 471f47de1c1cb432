-- SPDX-License-Identifier: Apache-2.0
local x, numbers = 42, {}
for i = 1, 1000000 do
  x = x * 16807 % 2147483647
  numbers[i] = x
end
table.sort(numbers)
local sum = 0
for i = 1, 1000000, 1000 do
  sum = (31 * sum + numbers[i]) % 1000000007
end
return sum
