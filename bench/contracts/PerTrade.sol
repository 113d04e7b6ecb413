// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The other way: every trade is verified by itself.
/// @notice The reference of S1, never deployed by Offbook: both signatures, both filled amounts, both positions of each
/// trade, and nothing else. No margin, no fees, no roots, no requests, no disputes: what a venue needs beyond makes it
/// dearer, not cheaper. Cash and lots of a position share one slot, as a careful author would have it.
contract PerTrade {
    struct Order {
        address owner;
        uint256 account;
        uint256 instrument;
        bool isBid;
        uint256 priceE6;
        uint256 quantityLots;
        uint256 maxFeeE6;
        uint256 nonce;
        uint256 expiryS;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    struct Trade {
        Order maker;
        Order taker;
        uint256 priceE6;
        uint256 quantityLots;
    }

    struct Position {
        int64 lots;
        int128 cashE6;
    }

    bytes32 private constant ORDER_TYPE = keccak256(
        "Order(address owner,uint256 account,uint256 instrument,bool isBid,uint256 priceE6,uint256 quantityLots,"
        "uint256 maxFeeE6,uint256 nonce,uint256 expiryS)"
    );

    bytes32 public immutable domainSeparator = keccak256(
        abi.encode(
            keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)"),
            keccak256("PerTrade"),
            block.chainid,
            address(this)
        )
    );
    address public immutable operator = msg.sender;
    mapping(bytes32 order => uint256 lots) public filledLots;
    mapping(uint256 account => address owner) public ownerOf;
    mapping(uint256 account => mapping(uint256 instrument => Position)) public positions;

    error BadTrade();

    /// @notice Bind accounts 2, 3, ... to their owners once.
    function open(address[] calldata owners) external {
        for (uint256 place; place < owners.length; ++place) ownerOf[2 + place] = owners[place];
    }

    /// @notice Verify and book trades one by one. Reverts with BadTrade for the first that no two orders cover.
    function settle(Trade[] calldata trades) external {
        if (msg.sender != operator) revert BadTrade();
        for (uint256 place; place < trades.length; ++place) {
            Trade calldata trade = trades[place];
            Order calldata maker = trade.maker;
            if (maker.isBid == trade.taker.isBid || maker.instrument != trade.taker.instrument) revert BadTrade();
            _book(maker, trade.priceE6, trade.quantityLots);
            _book(trade.taker, trade.priceE6, trade.quantityLots);
        }
    }

    function _book(Order calldata order, uint256 priceE6, uint256 lots) private {
        bytes32 digest = _digest(order);
        address signer = ecrecover(digest, order.v, order.r, order.s);
        bool fair = order.isBid ? priceE6 <= order.priceE6 : priceE6 >= order.priceE6;
        uint256 filled = filledLots[digest] + lots;
        if (
            !fair || signer == address(0) || signer != order.owner || ownerOf[order.account] != signer
                || order.expiryS < block.timestamp || filled > order.quantityLots
        ) revert BadTrade();
        filledLots[digest] = filled;
        Position storage held = positions[order.account][order.instrument];
        int128 cashE6 = int128(uint128(lots * priceE6));
        (held.lots, held.cashE6) = order.isBid
            ? (held.lots + int64(uint64(lots)), held.cashE6 - cashE6)
            : (held.lots - int64(uint64(lots)), held.cashE6 + cashE6);
    }

    function _digest(Order calldata order) private view returns (bytes32) {
        bytes32 content = keccak256(
            abi.encode(
                ORDER_TYPE,
                order.owner,
                order.account,
                order.instrument,
                order.isBid,
                order.priceE6,
                order.quantityLots,
                order.maxFeeE6,
                order.nonce,
                order.expiryS
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domainSeparator, content));
    }
}
