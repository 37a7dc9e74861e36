// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProduct} from "../../interfaces/IProduct.sol";
import {Vouchers} from "./Vouchers.sol";

/// @title Payments by a wearable: cumulative vouchers, each paid by its difference to the last.
/// @notice The wearable's secure element signs an EIP-712 `Voucher` at each tap; `total` and `taps`
/// are running sums per payee, so the newest voucher stands for all before it. Amounts are token
/// minor units, times Unix seconds. The signature is checked here: a hostile quorum pays nothing
/// that the wearable did not sign for this chain and this contract.
/// Terms: abi.encode(uint256 chainId, address voucherContract, uint40 perTap, uint48 perDay,
/// uint16[4] classes, uint24 coolOff, uint16 offlineTaps, uint40 offlineAmount, uint24 maxAge);
/// perDay, coolOff and each class may be 0: no such limit, no such class.
/// Facts: abi.encode(address payee, uint48 total, uint40 counter, uint32 taps, uint16
/// merchantClass, uint48 cap, uint40 signedAt, uint40 expiry, bytes32 r, bytes32 s).
/// Refused is only what no honest quorum attests. What depends on what else was settled meanwhile
/// (see `Cut`) is paid as far as the bounds allow, perhaps nothing; the rest stays for a later voucher.
/// A wearable is lost once it is not active now, or was shown to spend twice: then all that still
/// comes is paid out of one last offline allowance, not one per payee.
/// Warning: totals are cumulative, so the chain holds `perTap` on average over a payee's taps; the
/// terminal, which sees each tap, holds it for each.
/// Warning: a day's limit goes by the day of signing, UTC; a terminal therefore keeps one voucher
/// of each day.
/// Warning: a secure element that is broken can sign anything; the bounds limit what that costs.
interface IWearableVoucher is IProduct {
    /// 1 is IProduct's OVER_LIMIT; the order is what `refusalName` and the rail's 100 + n speak of.
    enum Answer {
        Priced,
        OverLimit,
        FactsMalformed,
        SignatureInvalid,
        DeviceNotActive,
        ClassNotAgreed,
        TapTooLarge
    }

    /// Why a voucher was not paid in full.
    enum Cut {
        None,
        Superseded, // a newer voucher of this payee was paid before
        DeviceSilenced, // suspended, revoked or expired when it was signed
        DoubleSpent, // its counter is at or above one that was signed twice
        Expired,
        TooOld,
        SignedAhead, // later than now
        CoolOff,
        CapSpent,
        DaySpent,
        OfflineAmount,
        OfflineTaps
    }

    /// @notice A voucher was not paid in full.
    /// @param agreement id of the agreement
    /// @param payee who was to be paid
    /// @param counter the voucher's
    /// @param unpaid what the voucher is still owed
    /// @param why what cut it
    event VoucherCut(
        bytes32 indexed agreement, address indexed payee, uint40 counter, uint48 unpaid, Cut why
    );

    /// @notice A wearable was shown to have signed two vouchers with one counter.
    /// @param wearable keccak256 of its name
    /// @param counter of both vouchers
    /// @param a digest of one voucher
    /// @param b digest of the other
    event DoubleSpendProven(bytes32 indexed wearable, uint40 counter, bytes32 a, bytes32 b);

    /// @notice The two vouchers are not a double spend.
    error NotDoubleSpend();

    /// @notice The wearable did not sign this voucher.
    /// @param counter the voucher's
    error VoucherUnsigned(uint40 counter);

    /// @notice Takes two different vouchers with one counter, both signed by the wearable, from
    /// anyone. From that counter on nothing is paid any more, and the wearable is lost. What it
    /// signed before stays the merchants', within the last allowance. A signature's twin with the
    /// other s is no second voucher. Shown again, or with a higher counter, it changes nothing.
    /// @param a one voucher
    /// @param signatureA 64 bytes (r, s) of the wearable over it
    /// @param b another voucher
    /// @param signatureB 64 bytes (r, s) of the wearable over it
    function reportDoubleSpend(
        Vouchers.Voucher calldata a,
        bytes calldata signatureA,
        Vouchers.Voucher calldata b,
        bytes calldata signatureB
    ) external;

    /// @notice Computes what the wearable signs: the EIP-712 digest for this chain and contract.
    /// @param voucher the voucher
    /// @return digest what is signed
    function digestOf(Vouchers.Voucher memory voucher) external view returns (bytes32 digest);

    /// @notice Says which counter a wearable was shown to have signed twice.
    /// @param wearable keccak256 of its name
    /// @return counter the lowest such counter; 0: none
    function frozenFrom(bytes32 wearable) external view returns (uint40 counter);

    /// @notice Says what a payee was paid on an agreement so far.
    /// @param agreement id of the agreement
    /// @param payee who was paid
    /// @return paid token minor units
    /// @return taps for how many taps
    function accountOf(bytes32 agreement, address payee)
        external
        view
        returns (uint48 paid, uint32 taps);

    /// @notice Says what vouchers signed on a day were paid on an agreement that has a limit per day.
    /// @param agreement id of the agreement
    /// @param day Unix seconds / 86,400
    /// @return amount token minor units
    function spentOn(bytes32 agreement, uint256 day) external view returns (uint256 amount);
}
