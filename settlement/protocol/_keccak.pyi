from collections.abc import Sequence

def keccak256(data: bytes) -> bytes: ...
def keccak256_many(items: Sequence[bytes]) -> list[bytes]: ...
def trade_digest(
    separator: bytes,
    typehash: bytes,
    module: bytes,
    asset: bytes,
    sub_id: int,
    limit_price_e18: int,
    amount_e18: int,
    max_fee_e18: int,
    subaccount_id: int,
    is_bid: bool,
    nonce: int,
    expiry_s: int,
    owner: bytes,
    signer: bytes,
) -> bytes: ...

class DenseTree:
    depth: int
    def __init__(self, depth: int) -> None: ...
    @property
    def root(self) -> bytes: ...
    def build(self, leaves: bytes) -> None: ...
    def update(self, indices: Sequence[int], leaves: Sequence[bytes]) -> None: ...
    def leaf(self, index: int) -> bytes: ...
    def multiproof(self, indices: Sequence[int]) -> list[bytes]: ...
