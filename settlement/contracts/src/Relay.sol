// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {ActionHash} from "./libraries/ActionHash.sol";
import {SessionKeys} from "./SessionKeys.sol";

/// @title Owner-signed actions that a third party brings to the queue and pays the gas of
abstract contract Relay is SessionKeys {
    uint256 internal constant NONCE_WINDOW_NS = 1 hours * 1e9;

    function actionDigest(Action calldata action, bytes calldata data) public view returns (bytes32) {
        return ActionHash.digest(domainSeparator, ActionHash.action(action, data));
    }

    function relayRequest(Action calldata action, bytes calldata data, bytes calldata sig)
        external
        nonReentrant
        returns (uint64 id)
    {
        bytes32 digest = _useAction(action, data, sig);
        address to;
        if (action.module == ActionHash.WITHDRAW_MODULE) {
            (id, to) = _relayWithdraw(action, data);
        } else if (action.module == ActionHash.SESSION_KEY_MODULE) {
            id = _relaySessionKey(action, data);
        } else {
            revert BadModule();
        }
        emit Relayed(id, digest, to);
    }

    function _useAction(Action calldata action, bytes calldata data, bytes calldata sig)
        private
        returns (bytes32 digest)
    {
        require(block.timestamp <= action.expiry, ActionExpired());
        digest = actionDigest(action, data);
        require(!_usedAction[digest], ActionUsed());
        require(action.signer == action.owner, BadSignature());
        require(SignatureChecker.isValidSignatureNowCalldata(action.owner, digest, sig), BadSignature());
        _usedAction[digest] = true;
    }

    function _relayWithdraw(Action calldata action, bytes calldata data) private returns (uint64 id, address to) {
        (address asset, uint256 maxFeeE18, address recipient, uint256 amount,) =
            abi.decode(data, (address, uint256, address, uint256, bool));
        require(asset == settlementAsset && recipient != address(0), BadAsset());
        require(amount <= type(uint64).max, BadAmount());
        uint32 acct = _index(action.subaccountId);
        require(_accounts[acct].owner == action.owner, NotOwner());
        id = _queueWithdraw(acct, uint64(amount));
        // what whoever pays it at once may keep; `fastPay` holds it below the amount
        uint256 fee = maxFeeE18 / 1e12;
        if (fee > 0) _fast[id].allowedFee = fee < amount ? uint64(fee) : uint64(amount);
        if (recipient != action.owner) {
            to = recipient;
            _payee[id] = recipient;
        }
    }

    /// @dev the data names no asset: only the nonce keeps a signature of an earlier deployment out
    function _relaySessionKey(Action calldata action, bytes calldata data) private returns (uint64) {
        require(action.subaccountId == 0, BadSubaccount());
        _checkNonce(action.nonce);
        (address key, uint256 expiry, uint256[] memory codes, uint256[] memory subaccounts) =
            abi.decode(data, (address, uint256, uint256[], uint256[]));
        require(expiry <= type(uint40).max, BadExpiry());
        return _setSessionKey(action.owner, key, uint40(expiry), _mask(codes), _indices(subaccounts));
    }

    function _checkNonce(uint256 nonce) private view {
        uint256 nowNs = block.timestamp * 1e9;
        require(nonce >= uint256(deployedAt) * 1e9, BadNonce());
        require(nonce <= nowNs + NONCE_WINDOW_NS && nonce + NONCE_WINDOW_NS >= nowNs, BadNonce());
    }

    function _mask(uint256[] memory codes) private pure returns (uint32 mask) {
        for (uint256 i = 0; i < codes.length; ++i) {
            require(codes[i] < 17, BadScope());
            mask |= uint32(1 << codes[i]);
        }
    }

    function _indices(uint256[] memory subaccounts) private view returns (uint32[] memory accts) {
        accts = new uint32[](subaccounts.length);
        for (uint256 i = 0; i < accts.length; ++i) {
            accts[i] = _index(subaccounts[i]);
        }
    }

    function _index(uint256 subaccountId) private view returns (uint32) {
        require(subaccountId >= subaccountBase && subaccountId < subaccountBase + MAX_ACCOUNTS, BadSubaccount());
        return uint32(subaccountId - subaccountBase);
    }
}
