// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {RailAgreements} from "./rail/RailAgreements.sol";
import {RailDebts} from "./rail/RailDebts.sol";
import {RailPayouts} from "./rail/RailPayouts.sol";
import {RailSettlement} from "./rail/RailSettlement.sol";
import {RailState} from "./rail/RailState.sol";

/// @title The payment rail, in the parts that a payment passes through.
/// @notice IPaymentRail documents every function. The parts, in reading order:
///   RailState       what is stored, who may stop and list what
///   RailAgreements  open, fund, close, reclaim
///   RailSettlement  settle: a batch of claims becomes pending money, or debts
///   RailPayouts     dispute, concede, retract, rule; release, withdraw
///   RailDebts       what payees owe to agreements; repay
contract PaymentRail is RailState, RailDebts, RailPayouts, RailSettlement, RailAgreements {
    constructor(
        address steward_,
        address guardian_,
        address token_,
        address committee_,
        address registry_
    ) RailState(steward_, guardian_, token_, committee_, registry_) EIP712("proofrail", "1") {}
}
