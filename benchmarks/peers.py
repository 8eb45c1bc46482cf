"""Our layers beside other people's: `python -m benchmarks.peers`, with the extra `peers`.

No benchmark of asv's: what it does stands in `tools/peers`, because asv imports every module of
this folder at every commit that it measures.
"""

import sys

if __name__ == "__main__":
    from tools.peers.command import main

    sys.exit(main())
