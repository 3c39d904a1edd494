# SPDX-License-Identifier: Apache-2.0
"""Image sequences with ground truth, public and synthetic."""
