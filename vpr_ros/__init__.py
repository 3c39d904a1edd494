# SPDX-License-Identifier: Apache-2.0
"""Robot relocalization by visual place recognition.

An image comes in; a place in the map comes out, or a reason why not.
"""

__version__ = '0.1.0'
