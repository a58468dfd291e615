"""Labels of a run as data sets that trainers and labeling tools read, with what each of them loses said."""
