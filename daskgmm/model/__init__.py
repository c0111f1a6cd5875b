"""The mathematics of a mixture: pure functions on arrays. No Dask, no files, no clock.

A Gaussian is an exponential family, so its weighted log-density at a row x is a scalar product:

    log(w_k N(x | mu_k, Sigma_k)) = <eta_k, phi(x)>

The feature vector phi(x) depends on the covariance type only:

    ============ ================================== ========================
    type         phi(x)                             length F
    ============ ================================== ========================
    full         x_i x_j (i <= j), x, 1             D (D + 1) / 2 + D + 1
    tied         x, 1                               D + 1
    diag         x_i^2, x, 1                        2 D + 1
    spherical    sum of x_i^2, x, 1                 D + 2
    ============ ================================== ========================

(With one matrix for all components, the quadratic term is the same in each logit and leaves the
responsibilities; its sum over rows is the total scatter, which never changes.)

An EM pass over n rows is then two matrix products with a softmax between them:

    logits  = Eta @ Phi            (K, n)   E-step
    gamma   = softmax over K       (K, n)   responsibilities, and the log-likelihood
    moments = Phi @ gamma.T        (F, K)   sums of gamma, gamma x and gamma x x^T

Moments add, so blocks, tasks and workers sum theirs, and the M-step needs nothing else (but the
total scatter, for tied covariances). Many mixtures at once are one taller Eta, with a softmax for
each.

Where each term is computed:

    =================== =============================================================
    x, shifted, scaled  `frame.Frame.standardise`
    phi(x)              `covariance.base.Covariance.quadratic`, `feature_length`
    eta                 `mixture.Mixture.natural_parameters`
    the two products    `kernels.features.FeatureKernel` (NumPy),
                        `kernels.loops.features` (compiled)
    pairs that count    `screening`, `kernels.loops.bounds` and `kernels.loops.screened` find
                        them, `kernels.loops.pairs` sums over them; of hundreds of
                        components, `kernels.neighbours` leaves a few to look at
    gamma               `responsibilities.normalise`; the compiled loop has its own
    noise               `noise.Noise`: a constant logit beside the others, and no moments
    a block's moments   `expectation.Accumulator`, `moments.Moments`
    M-step              `moments.Moments.maximise`, `covariance.base.Covariance.estimate`;
                        under a prior `prior.NormalPrior.mode`
    =================== =============================================================

The products subtract large numbers where a component is tight and far from the origin.
`precision.feature_components` bounds that error. Past it, rows are centred at the component's mean
and whitened, which is as exact as the data allows: in NumPy by `kernels.centred`, and in the
compiled loop, which long passes take, only for the pairs (row, component) that count. On rows whose
components are apart few do, and a few whitened coordinates bound the logits of all others away.
`kernels.strategy` says how a tile of rows is computed: the cheapest way that is exact enough.

Rows with missing values count by what is known of them: `missing` groups them by pattern, and maps
the moments of marginal mixtures to those of all features.

What a fitted mixture answers without rows is in `questions`.

Notation everywhere: n rows, K components, D features, F the length of a feature vector.
Arrays of rows are features first, (D, n). Densities are in nats.
"""
