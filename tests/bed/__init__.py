# SPDX-License-Identifier: MIT
"""Two libreswan hosts on one machine, with ipsecwatch's package installed on one of them."""
