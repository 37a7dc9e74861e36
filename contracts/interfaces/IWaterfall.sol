// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A payee that divides what it earns: a senior share first, the rest by fixed shares.
/// @notice Its terms are part of its code: nobody can change a holder, a share or the limit, and it
/// has no owner. All tokens that ever came in are divided by their sum, so neither the number of
/// payments nor the order of calls changes what a holder gets; what is below one minor unit waits.
/// Holders pull: one that cannot take its part delays nobody.
/// Warning: tokens that anyone sends here are income like any other.
/// Warning: what a correction takes back is kept from later income by the rail. What holders have
/// taken by then stays theirs; those who share later income bear it.
/// Warning: a waterfall signs nothing. It cannot concede a dispute, skip a claim or repay a debt.
interface IWaterfall {
    /// @notice A holder took its part as tokens.
    /// @param holder who took it
    /// @param amount token minor units
    event Taken(address indexed holder, uint256 amount);

    /// @notice A holder's part was ordered to its bank account.
    /// @param holder who is paid
    /// @param order the payout's id (IEuroToken.Redeemed)
    /// @param amount token minor units, whole cents
    event PaidOut(address indexed holder, bytes32 indexed order, uint256 amount);

    /// @notice The address has nothing to take here.
    /// @param holder whose part it would be
    error NothingToTake(address holder);

    /// @notice A stranger ordered a payout today already, or it is below the holder's minimum.
    /// @param holder whose payout it would be
    error PayoutLimited(address holder);

    /// @notice The holder named no bank account at the rail.
    /// @param holder who would be paid
    error AccountMissing(address holder);

    /// Who gets what.
    struct Terms {
        bytes32 label; // distinguishes waterfalls with the same holders
        address senior; // is served first; zero: nobody is
        uint16 seniorShare; // basis points of what comes in, until the limit is reached
        uint64 seniorLimit; // token minor units
        address[] holders; // share the rest; ascending
        uint16[] shares; // basis points of the rest, by holder; they sum to 10,000
    }

    /// @notice Takes the caller's part as tokens. What the rail has for the waterfall comes in first.
    /// @return amount token minor units
    function take() external returns (uint256 amount);

    /// @notice Orders a holder's whole cents to the bank account that it named at the rail.
    /// The holder may at any time; anyone else once a day, from the holder's payout minimum on.
    /// @param holder who is paid
    /// @return order the payout's id
    function payOut(address holder) external returns (bytes32 order);

    /// @notice Takes in what a rail has for this waterfall. Anyone may call.
    /// @param source the rail, also one that took the place of `rail`; what is no rail brings nothing
    /// @return amount token minor units
    function pull(address source) external returns (uint256 amount);

    /// @notice Says who gets what.
    /// @return terms as they were created
    function terms() external view returns (Terms memory terms);

    /// @notice Says what a holder can take of the tokens that are here.
    /// @param holder the holder; any other address can take nothing
    /// @return amount token minor units
    function owedTo(address holder) external view returns (uint256 amount);

    /// @notice Says what a holder took so far, as tokens and to its bank account.
    /// @param holder the holder
    /// @return amount token minor units
    /// @return lastDay the day (Unix seconds / 86,400) of the last payout that a stranger ordered
    function takenBy(address holder) external view returns (uint192 amount, uint64 lastDay);

    /// @notice Says what all holders took so far.
    /// @return amount token minor units
    function taken() external view returns (uint256 amount);

    /// @notice Says what came in so far: what is here and what was taken.
    /// @return amount token minor units
    function received() external view returns (uint256 amount);

    /// @notice Says what the next call takes in from the rail: what is released, less debts.
    /// @return amount token minor units
    function waiting() external view returns (uint256 amount);

    /// @notice Names the rail that it is a payee of, and where holders name their accounts.
    /// @return contract_ its address
    function rail() external view returns (address contract_);

    /// @notice Names the token.
    /// @return contract_ its address
    function token() external view returns (address contract_);
}
