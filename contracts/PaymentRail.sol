// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RailAgreements} from "./rail/RailAgreements.sol";
import {RailDebts} from "./rail/RailDebts.sol";
import {RailPayouts} from "./rail/RailPayouts.sol";
import {RailSettlement} from "./rail/RailSettlement.sol";
import {RailState} from "./rail/RailState.sol";

/// @title The payment rail, in the parts that a payment passes through.
/// @notice IPaymentRail documents every function. The parts, in reading order:
///   RailState       what is stored, who may stop and list what
///   RailAgreements  open, fund, close, skip, reclaim
///   RailSettlement  settle: a batch of claims becomes pending money, or debts
///   RailPayouts     release, withdraw; what a dispute (Disputes.sol) freezes
///   RailDebts       what payees owe to agreements; repay
contract PaymentRail is RailState, RailDebts, RailPayouts, RailSettlement, RailAgreements {
    constructor(address access_, address token_, address committee_, address registry_)
        RailState(access_, token_, committee_, registry_)
    {}
}
