"""Index: what products that price measured numbers have in common. A leaf adds names and words.

The contract `contracts/products/index/Index.sol` decides; `formula` and `pricing` repeat its
answers. `tariff` is how terms and facts are written, `text` how people write and read them.
"""
