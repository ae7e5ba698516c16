# SPDX-License-Identifier: MIT
"""Two hosts with real libreswans on one machine; ipsecwatch's package is installed on one."""
