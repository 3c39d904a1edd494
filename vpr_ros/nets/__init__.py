# SPDX-License-Identifier: Apache-2.0
"""Networks that describe images, and the engines that run them."""
