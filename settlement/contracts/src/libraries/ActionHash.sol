// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ISettlementTypes} from "../interfaces/ISettlementTypes.sol";

/// @title EIP-712 hashes of signed actions and the addresses they name
/// @dev The domain names a constant contract, not this one: a wallet signs the same action text on every deployment,
/// and the asset address inside `data` is what binds it to one.
library ActionHash {
    address internal constant VERIFYING_CONTRACT = 0xeB8d770ec18DB98Db922E9D83260A585b9F0DeAD;
    address internal constant WITHDRAW_MODULE = 0x9d0E8f5b25384C7310CB8C6aE32C8fbeb645d083;
    address internal constant TRADE_MODULE = 0xB8D20c2B7a1Ad2EE33Bc50eF10876eD3035b5e7b;
    /// @dev the low 20 bytes of keccak256("offbook.module.mass_quote")
    address internal constant MASS_QUOTE_MODULE = 0x73AD123C12f9a534f6E6733eb84C9Fb15fA11059;
    address internal constant RFQ_MODULE = 0x9371352CCef6f5b36EfDFE90942fFE622Ab77F1D;
    address internal constant SESSION_KEY_MODULE = 0xe330CF64ff6EbF41699aad344Cb21d78db1D2bb6;

    bytes32 internal constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 internal constant ACTION_TYPEHASH = keccak256(
        "Action(uint256 subaccountId,uint256 nonce,address module,bytes data,uint256 expiry,address owner,address signer)"
    );
    bytes32 internal constant CLAIM_TYPEHASH = keccak256("Claim(address settlement,uint64[] reqIds,address to)");

    function separator(uint256 chainId) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("Matching"), keccak256("1.0"), chainId, VERIFYING_CONTRACT)
        );
    }

    /// @dev `kind` is perp, option or erc20
    function asset(address settlement, string memory currency, string memory kind) internal view returns (address) {
        bytes32 id = keccak256(abi.encode("offbook.asset", block.chainid, settlement, currency, kind));
        return address(uint160(uint256(id)));
    }

    function digest(bytes32 domain, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function action(ISettlementTypes.Action calldata a, bytes calldata data) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                ACTION_TYPEHASH, a.subaccountId, a.nonce, a.module, keccak256(data), a.expiry, a.owner, a.signer
            )
        );
    }

    function claim(address settlement, uint64[] calldata reqIds, address to) internal pure returns (bytes32) {
        return keccak256(abi.encode(CLAIM_TYPEHASH, settlement, keccak256(abi.encodePacked(reqIds)), to));
    }
}
