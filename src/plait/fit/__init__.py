"""Which placement fits a function: evidence from real items, and a choice with its reasons.

probe --(reads clocks around real items)--> Evidence --choose--> Choice: placement + reasons
canary --(how long the GIL is held)-----------^            ^
meaning --(why a function must stay in this process)-------+
"""
