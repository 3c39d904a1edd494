# SPDX-License-Identifier: Apache-2.0
"""What a place is, how an image finds it, and when to believe it."""
