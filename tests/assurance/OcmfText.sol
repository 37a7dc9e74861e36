// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Vm} from "./Vm.sol";

/// @title Writes OCMF records as a meter does: one reading, a counter, a time.
library OcmfText {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @dev What the meter signs.
    function content(string memory meter, uint256 counter, uint256 time)
        internal
        pure
        returns (string memory)
    {
        string memory head =
            string.concat('{"MS":"', meter, '","PG":"T', vm.toString(counter), '","RD":[{"TM":"');
        return string.concat(
            head, moment(time), '","RV":1,"RI":"1-0:1.8.0","RU":"kWh","ST":"G"}]}'
        );
    }

    /// @dev The whole record; the signature as r and s in hex.
    function sealed_(string memory signedText, bytes32 r, bytes32 s)
        internal
        pure
        returns (bytes memory)
    {
        bytes memory prefixed = bytes(vm.toString(abi.encodePacked(r, s)));
        bytes memory digits = new bytes(prefixed.length - 2); // without 0x
        for (uint256 i; i < digits.length; ++i) digits[i] = prefixed[i + 2];
        return bytes.concat("OCMF|", bytes(signedText), '|{"SD":"', digits, '"}');
    }

    /// @dev A time such as 2027-01-15T08:00:00+0000 S.
    function moment(uint256 time) internal pure returns (string memory) {
        (uint256 year, uint256 month, uint256 day) = _date(time / 1 days);
        string memory date = string.concat(vm.toString(year), "-", _two(month), "-", _two(day));
        uint256 second = time % 1 days;
        string memory clock =
            string.concat(_two(second / 3600), ":", _two(second / 60 % 60), ":", _two(second % 60));
        return string.concat(date, "T", clock, "+0000 S");
    }

    /// @dev Year by year from 1970 on: slow and plain.
    function _date(uint256 day) private pure returns (uint256 year, uint256 month, uint256) {
        for (year = 1970; day >= (_isLeap(year) ? 366 : 365); ++year) {
            day -= _isLeap(year) ? 366 : 365;
        }
        for (month = 1; day >= _days(year, month); ++month) day -= _days(year, month);
        return (year, month, day + 1);
    }

    function _days(uint256 year, uint256 month) private pure returns (uint256) {
        if (month == 2) return _isLeap(year) ? 29 : 28;
        return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
    }

    function _isLeap(uint256 year) private pure returns (bool) {
        return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    }

    function _two(uint256 number) private pure returns (string memory) {
        return string.concat(number < 10 ? "0" : "", vm.toString(number));
    }
}
