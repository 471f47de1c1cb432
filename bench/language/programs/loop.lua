-- SPDX-License-Identifier: Apache-2.0
local sum = 0
for i = 0, 20000000 - 1 do
  sum = sum + i % 7
end
return sum
