"""One pass over rows in memory: E-step and sums for the M-step.

Kernels take the same arguments and are filled block by block with `add`. Two work in NumPy, for
passes that are not worth loading a compiler:

`FeatureKernel` computes all mixtures in two matrix products over feature vectors:

    logits  = Eta @ Phi           (K, n)
    moments = Phi @ gamma.T       (F, K)

`CentredKernel` subtracts each component's mean first and whitens: slower, and as exact for
tight or strongly correlated components far from the origin as the data allows. Where only some
components need that, `FeatureKernel` treats those the second way.

Two run one compiled loop over tiles of rows (`loops.moments`), which holds no interpreter lock:

`CompiledKernel` does as `FeatureKernel` does, for several mixtures at once.

`ScreenedKernel` whitens about the means too, but only the pairs (row, component) that count;
where most do, or features are few, all pairs, by features where those are exact enough. `strategy`
chooses by the `costs` of the processor's kind, `arguments` is what the loop is given, `models` and
`tiles` make that. Hundreds of components are told apart first: `neighbours`, `overlap`.

All hold work arrays that are allocated once: fresh large temporaries would be mapped, faulted
and unmapped for each block.
"""
