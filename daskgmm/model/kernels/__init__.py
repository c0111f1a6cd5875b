"""One pass over rows in memory: E-step and sums for the M-step.

Three kernels that take the same arguments and are filled block by block with `add`:

`FeatureKernel` computes all mixtures in two matrix products over feature vectors:

    logits  = Eta @ Phi           (K, n)
    moments = Phi @ gamma.T       (F, K)

`CompiledKernel` does the same in one compiled loop that holds no interpreter lock: for passes
that are worth loading a compiler.

`CentredKernel` subtracts each component's mean first and whitens: slower, and as exact for
tight or strongly correlated components far from the origin as the data allows. Where only some
components need that, `FeatureKernel` treats those the second way.

All hold work arrays that are allocated once: fresh large temporaries would be mapped, faulted
and unmapped for each block.
"""
