-- SPDX-License-Identifier: Apache-2.0
local function range(from, to)
  local t = {}
  for i = from, to - 1 do t[#t + 1] = i end
  return t
end
local function map(f, t)
  local out = {}
  for i = 1, #t do out[i] = f(t[i]) end
  return out
end
local function filter(f, t)
  local out = {}
  for i = 1, #t do
    if f(t[i]) then out[#out + 1] = t[i] end
  end
  return out
end
local function reduce(f, acc, t)
  for i = 1, #t do acc = f(acc, t[i]) end
  return acc
end

return reduce(function(a, b) return a + b end, 0,
  filter(function(x) return x % 3 == 0 end,
    map(function(x) return x * 7 + 1 end,
      range(0, 1000000))))
