"""Methods of fitted estimators, in mixins: each file holds those of one subject."""
