"""The page ``/daskgmm`` on a scheduler's dashboard, in Bokeh."""
