// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProduct} from "../../interfaces/IProduct.sol";
import {Spending} from "./Spending.sol";
import {Vouchers} from "./Vouchers.sol";

/// @title Payments by a wearable: cumulative vouchers, each paid by its difference to the last.
/// @notice The wearable's secure element signs an EIP-712 `Voucher` at each tap; `total` and `taps`
/// are running sums per payee, so the newest voucher stands for all before it. Amounts are token
/// minor units, times Unix seconds. The signature is checked here: a hostile quorum pays nothing
/// that the wearable did not sign for this chain and contract.
/// What was paid is kept per wearable and payee, not per agreement: a tap pays once, and a renewed
/// agreement goes on where the last one ended, with no new data on the card. A refund by a dispute
/// changes no account: that tap is not owed again.
/// Terms: abi.encode(uint256 chainId, address voucherContract, uint40 perTap, uint48 perDay,
/// uint16[4] classes, uint24 coolOff, uint16 offlineTaps, uint40 offlineAmount, uint24 maxAge);
/// perDay, coolOff and each class may be 0: no such limit, no such class. Behind them, for a
/// wearable's first agreement alone: (address payee, uint48 paid, uint32 taps), 96 bytes for each
/// payee, in rising order: what was paid by a contract that this one cannot ask.
/// `voucherContract` is the one that the card signs for: this one, or its predecessor.
/// Facts: abi.encode(address payee, uint48 total, uint40 counter, uint32 taps, uint16
/// merchantClass, uint48 cap, uint40 signedAt, uint40 expiry, bytes32 r, bytes32 s).
/// Refused is only what no honest quorum attests. What depends on what else was settled meanwhile
/// (see `Cut`) is paid as far as the bounds allow, perhaps nothing; the rest stays for a later voucher.
/// Times of signing rise with the counters and lie at most a clock's grace after now; a voucher that
/// is not paid moves nothing. A day's limit counts by the days of signing: see `Spending`.
/// A wearable is lost once it is not active now, or was shown to spend twice: then all that still
/// comes is paid out of one last offline allowance, not one per payee.
/// Versions: the steward names this contract's successor once. The successor takes a wearable with
/// `passOn`, pays for it from then on, and reads here what was paid before; here it is paid no more.
/// Warning: totals are cumulative, so the chain holds `perTap` on average over a payee's taps; the
/// terminal, which sees each tap, holds it for each.
/// Warning: a terminal keeps one voucher of each day: what waited behind another terminal's newer
/// voucher is paid by the days of its own signing.
/// Warning: the chain sees a time only where it contradicts counters, blocks or limits: after days
/// without any settlement, those days' limits can be spent at once.
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
        SignedAhead, // later than now, or than the agreement's end
        BeforeStart, // of the agreement
        TimeFell, // its time contradicts its counter
        PassedOn, // the successor pays for this wearable
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

    /// @notice A wearable that the predecessor knows to have signed twice got its first agreement.
    /// @param wearable keccak256 of its name
    /// @param counter from which counter on its vouchers are worth nothing
    event DoubleSpendCarried(bytes32 indexed wearable, uint40 counter);

    /// @notice The predecessor was named: vouchers for it can be agreed to as well.
    /// @param predecessor the contract that cards in the field sign for
    event PredecessorSet(address predecessor);

    /// @notice The successor was named.
    /// @param successor the contract that may take wearables over
    event SuccessorSet(address successor);

    /// @notice The successor took a wearable over.
    /// @param wearable keccak256 of its name
    event WearablePassedOn(bytes32 indexed wearable);

    /// @notice It can be named only once, and not as zero or this contract itself.
    /// @param contract_ what was to be named
    error LinkInvalid(address contract_);

    /// @notice Only the successor may call.
    /// @param caller who called
    error NotSuccessor(address caller);

    /// @notice The successor has taken this wearable over, so its agreements are opened there.
    /// @param wearable keccak256 of its name
    error PassedOnAlready(bytes32 wearable);

    /// @notice Only the first agreement of a wearable can say what was paid before it.
    /// @param wearable keccak256 of its name
    error StartsUnexpected(bytes32 wearable);

    /// @notice The two vouchers are not a double spend.
    error NotDoubleSpend();

    /// @notice The wearable did not sign this voucher.
    /// @param counter the voucher's
    error VoucherUnsigned(uint40 counter);

    /// @notice Names the contract that cards in the field sign for, once. Only through the access
    /// manager.
    /// Warning: it must pay nothing any more to wearables whose agreements are opened here.
    /// @param predecessor an earlier version, whose marks the starts of terms carry over
    function setPredecessor(address predecessor) external;

    /// @notice Names the contract that may take wearables over, once. Only through the access
    /// manager.
    /// @param successor a later version
    function setSuccessor(address successor) external;

    /// @notice Ends payments for a wearable here, for ever: what was paid is final. Only the
    /// successor.
    /// @param wearable keccak256 of its name
    /// @return state what was paid, and how far its limit of a day is spent
    function passOn(bytes32 wearable) external returns (Spending.State memory state);

    /// @notice Takes two different vouchers with one counter, both signed by the wearable, from
    /// anyone. From that counter on nothing is paid any more, and the wearable is lost. What it
    /// signed before stays the merchants', within the last allowance. A signature's twin with the
    /// other s is no second voucher. Shown again, or with a higher counter, it changes nothing.
    /// @param domain the contract that both are for: this one or its predecessor
    /// @param a one voucher
    /// @param signatureA 64 bytes (r, s) of the wearable over it
    /// @param b another voucher
    /// @param signatureB 64 bytes (r, s) of the wearable over it
    function reportDoubleSpend(
        address domain,
        Vouchers.Voucher calldata a,
        bytes calldata signatureA,
        Vouchers.Voucher calldata b,
        bytes calldata signatureB
    ) external;

    /// @notice Computes what the wearable signs: the EIP-712 digest for this chain.
    /// @param domain the contract that the voucher is for
    /// @param voucher the voucher
    /// @return digest what is signed
    function digestOf(address domain, Vouchers.Voucher memory voucher)
        external
        view
        returns (bytes32 digest);

    /// @notice Says which counter a wearable was shown to have signed twice.
    /// @param wearable keccak256 of its name
    /// @return counter the lowest such counter; 0: none
    function frozenFrom(bytes32 wearable) external view returns (uint40 counter);

    /// @notice Says what a payee was paid for a wearable's taps so far, refunds included.
    /// @param wearable keccak256 of its name
    /// @param payee who was paid
    /// @return paid token minor units
    /// @return taps for how many taps
    function accountOf(bytes32 wearable, address payee)
        external
        view
        returns (uint48 paid, uint32 taps);

    /// @notice Says what was paid since the wearable was lost; void where its state is not `lost`.
    /// @param wearable keccak256 of its name
    /// @return paid token minor units
    /// @return taps for how many taps
    function lostOf(bytes32 wearable) external view returns (uint48 paid, uint32 taps);
}
