"""Expression trees, requests and shapes -> statements with bound parameters.

Pure: no engine is imported or asked. What differs between engines is in one ``Dialect`` each.

Rules of every statement:
1. Every literal is a bound parameter; names come from the vocabulary only, quoted.
2. Comparisons keep three-valued logic, text compares bytewise, numbers compare exactly.
3. No value makes the engine raise: what a column's type cannot hold is decided here, before the engine sees it.
"""
