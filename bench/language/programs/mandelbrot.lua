-- SPDX-License-Identifier: Apache-2.0
local size, limit = 300, 50

local function inside(cr, ci)
  local zr, zi = 0.0, 0.0
  for i = 0, limit do
    local rr, ii = zr * zr, zi * zi
    if rr + ii > 4.0 then return false end
    zr, zi = rr - ii + cr, 2.0 * zr * zi + ci
  end
  return true
end

local count = 0
for y = 0, size - 1 do
  for x = 0, size - 1 do
    if inside(3.0 * (x / size) - 2.0, 2.0 * (y / size) - 1.0) then
      count = count + 1
    end
  end
end
return count
