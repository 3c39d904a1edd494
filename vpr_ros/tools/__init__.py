# SPDX-License-Identifier: Apache-2.0
"""Commands: flags in, one pure function under each."""
