# SPDX-License-Identifier: Apache-2.0
import json


def main(text):
    orders = json.loads(text)
    out = json.dumps(orders, separators=(',', ':'), sort_keys=True, ensure_ascii=False)
    return len(out) + sum(order['id'] for order in orders)
