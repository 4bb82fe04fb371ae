"""Types and functions that model files may contain without being listed in `trusted`."""

import functools

from sklearn.metrics import get_scorer_names

from imgfeat._compat.sklearn_search import find_score_function

_ESTIMATORS = """
imgfeat.batching.Batched
imgfeat.features.cnn.CNNEmbedding
imgfeat.features.color.ColorHistogram
imgfeat.features.color.ColorMoments
imgfeat.features.fisher.FisherVector
imgfeat.features.gabor.Gabor
imgfeat.features.hog.HOG
imgfeat.features.lbp.LBP
imgfeat.features.texture.GLCM
imgfeat.features.words.BagOfVisualWords
imgfeat.heads.calibration.TemperatureScaledClassifier
imgfeat.heads.early_stopping.EarlyStopped
imgfeat.heads.families.FamilyColumns
imgfeat.heads.stratified_folds.EveryClassKFold
imgfeat.heads.kernel_svm.KernelSVC
imgfeat.heads.midpoints.MidpointBoosting
imgfeat.heads.multilabel.PerLabel
imgfeat.heads.family_pool.FamilyPool
imgfeat.heads.stack.FamilyStack
imgfeat.images.loading.ImageLoader
imgfeat.training.sampler.AugmentedSampler
imgfeat.tuning.search.OptunaSearchCV
lightgbm.sklearn.LGBMClassifier
lightgbm.sklearn.LGBMRegressor
xgboost.sklearn.XGBClassifier
xgboost.sklearn.XGBRegressor
"""

_PARTS = """
collections.OrderedDict
datetime.date
datetime.datetime
datetime.timedelta
datetime.timezone
numpy.dtype
scipy.sparse._coo.coo_array
scipy.sparse._coo.coo_matrix
scipy.sparse._csc.csc_array
scipy.sparse._csc.csc_matrix
scipy.sparse._csr.csr_array
scipy.sparse._csr.csr_matrix
sklearn._loss.loss.HalfTweedieLossIdentity
sklearn.calibration._CalibratedClassifier
sklearn.calibration._SigmoidCalibration
sklearn.calibration._TemperatureScaling
sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor
sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace
sklearn.metrics._scorer._MultimetricScorer
sklearn.metrics._scorer._PassthroughScorer
sklearn.metrics._scorer._Scorer
sklearn.model_selection._search_successive_halving.HalvingGridSearchCV
sklearn.model_selection._search_successive_halving.HalvingRandomSearchCV
sklearn.multiclass._ConstantPredictor
sklearn.neural_network._stochastic_optimizers.AdamOptimizer
sklearn.neural_network._stochastic_optimizers.SGDOptimizer
sklearn.utils._bunch.Bunch
"""

_FUNCTIONS = """
numpy.max
numpy.mean
numpy.median
sklearn.feature_selection._mutual_info.mutual_info_classif
sklearn.feature_selection._mutual_info.mutual_info_regression
sklearn.feature_selection._univariate_selection.chi2
sklearn.feature_selection._univariate_selection.f_classif
sklearn.feature_selection._univariate_selection.f_oneway
sklearn.feature_selection._univariate_selection.f_regression
sklearn.feature_selection._univariate_selection.r_regression
"""

_FAMILIES = {
    "sklearn.gaussian_process.kernels": "CompoundKernel ConstantKernel DotProduct ExpSineSquared "
    "Exponentiation Matern PairwiseKernel Product RBF RationalQuadratic Sum WhiteKernel",
    "sklearn.model_selection._split": "GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut "
    "LeaveOneOut PredefinedSplit RepeatedKFold RepeatedStratifiedKFold ShuffleSplit "
    "StratifiedGroupKFold StratifiedKFold StratifiedShuffleSplit TimeSeriesSplit",
    "imblearn.pipeline": "Pipeline",
    "imblearn.over_sampling._adasyn": "ADASYN",
    "imblearn.over_sampling._random_over_sampler": "RandomOverSampler",
    "imblearn.over_sampling._smote.base": "SMOTE SMOTEN SMOTENC",
    "imblearn.over_sampling._smote.cluster": "KMeansSMOTE",
    "imblearn.over_sampling._smote.filter": "BorderlineSMOTE SVMSMOTE",
    "imblearn.under_sampling._prototype_generation._cluster_centroids": "ClusterCentroids",
    "imblearn.under_sampling._prototype_selection._condensed_nearest_neighbour": ""
    "CondensedNearestNeighbour",
    "imblearn.under_sampling._prototype_selection._edited_nearest_neighbours": "AllKNN "
    "EditedNearestNeighbours RepeatedEditedNearestNeighbours",
    "imblearn.under_sampling._prototype_selection._nearmiss": "NearMiss",
    "imblearn.under_sampling._prototype_selection._random_under_sampler": "RandomUnderSampler",
    "imblearn.under_sampling._prototype_selection._tomek_links": "TomekLinks",
    "imblearn.combine._smote_enn": "SMOTEENN",
    "imblearn.combine._smote_tomek": "SMOTETomek",
}


@functools.cache
def list_trusted() -> frozenset[str]:
    """Return the full names of trusted types and functions, in addition to those of skops.

    skops itself trusts scikit-learn's estimators. None of the names here runs code from the file,
    writes, or opens files by itself. Attributes used by compiled code are checked in
    `imgfeat._models.scikit` and `imgfeat._models.heads`, and parameters that name files in
    `imgfeat._models.paths`.
    """
    names = {*_ESTIMATORS.split(), *_PARTS.split(), *_FUNCTIONS.split()}
    for module, types in _FAMILIES.items():
        names |= {f"{module}.{name}" for name in types.split()}
    for scorer in get_scorer_names():
        function = find_score_function(scorer)
        names.add(f"{function.__module__}.{function.__name__}")
    return frozenset(names)
