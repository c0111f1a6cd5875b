"""Rows with missing values: exact EM on the observed values, for values missing at random.

For a row whose features O are known and M missing, component k has the density of its marginal
over O, and expects of the others, given the row (Ghahramani and Jordan, 1994)

    E[x_m | x_o, k] = mu_m + B_k (x_o - mu_o),    Cov[x_m | x_o, k] = C_k

with B_k the regression of M on O and C_k what it leaves. Both depend on the pattern alone: the set
of features that are missing. So rows are grouped by pattern (`patterns`). The moments of a group
under the marginal mixture, which an ordinary kernel computes, become moments of all features by an
affine map a component and a sum of C_k (`completion`). Where a pattern has few rows, these are
completed one by one (`rows`). `accumulation` chooses, and `densities` does so for predictions.

With the precision ``F @ F.T``, moving the missing features moves a whitened row in the span of
these features' rows of F. Its orthogonal basis gives B, C and the marginal density without
subtracting covariances (`regression`; Björck, 1967).
"""
