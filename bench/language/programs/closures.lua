-- SPDX-License-Identifier: Apache-2.0
local function adder(n) return function(x) return x + n end end
local function scaler(n) return function(x) return x * n % 1000003 end end
local function compose(f, g) return function(x) return g(f(x)) end end
local function pipeline(n)
  local run
  for i = 0, n - 1 do
    local stage = i % 2 == 0 and adder(i) or scaler(i + 2)
    run = run and compose(run, stage) or stage
  end
  return run
end

local sum = 0
for i = 0, 30000 - 1 do
  sum = sum + pipeline(10)(i)
end
local run = pipeline(10)
for x = 0, 200000 - 1 do
  sum = sum + run(x)
end
return sum
