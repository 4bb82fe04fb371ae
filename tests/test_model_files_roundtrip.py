"""What can be saved can be loaded, and predicts the same."""

import imblearn.over_sampling
import imblearn.pipeline
import numpy as np
import optuna
import pytest
import scipy.stats
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    IsolationForest,
)
from sklearn.feature_selection import SelectKBest, mutual_info_classif
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, Matern
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, QuantileTransformer, StandardScaler
from sklearn.svm import SVC, NuSVC

from imgfeat import (
    GLCM,
    HOG,
    LBP,
    BagOfVisualWords,
    Batched,
    ColorHistogram,
    ColorMoments,
    FisherVector,
    Gabor,
    ImageLoader,
    ModelFileError,
    ModelFileWarning,
    OptunaSearchCV,
    load_model,
    save_model,
)
from imgfeat.cli import main
from imgfeat.datasets import load_folder
from imgfeat.ensembles import bagging, boosting, stacking, svm, voting

X, Y = load_iris(return_X_y=True)
LABELS = np.array(["setosa", "versicolor", "virginica"])[Y]
SEVERAL = np.column_stack([Y == 0, Y == 1, Y < 9]).astype(int)


def double(values):
    return 2 * values


def assert_survives(model, inputs, path, **options):
    save_model(model, path)
    again = load_model(path, **options)
    assert type(again) is type(model)
    for method in ("predict", "predict_proba", "decision_function", "transform"):
        if hasattr(model, method):
            np.testing.assert_array_equal(
                getattr(again, method)(inputs), getattr(model, method)(inputs)
            )
    return again


HEADS = {
    "svm": svm(),
    "svm with probabilities": svm(probability=True),
    "svm in the primal": svm(max_exact=0),
    "linear svm": svm(kernel="linear"),
    "linear svm with probabilities": svm(kernel="linear", probability=True),
    "weighted svm": svm(class_weight="balanced"),
    "boosting": boosting(max_iter=5, random_state=0),
    "lightgbm": boosting(library="lightgbm", max_iter=9, random_state=0, n_jobs=1),
    "lightgbm without early stopping": boosting(
        library="lightgbm", max_iter=3, early_stopping=False, n_jobs=1
    ),
    "xgboost": boosting(library="xgboost", max_iter=9, random_state=0, n_jobs=1),
    "xgboost without early stopping": boosting(
        library="xgboost", max_iter=3, early_stopping=False, n_jobs=1
    ),
    "bagging": bagging(n_estimators=3, random_state=0),
    "bagging of svms": bagging(svm(), n_estimators=2, random_state=0),
}


@pytest.mark.parametrize("labels", [LABELS, Y, SEVERAL], ids=["names", "numbers", "several"])
@pytest.mark.parametrize("name", HEADS)
def test_heads(name, labels, tmp_path):
    assert_survives(HEADS[name].fit(X, labels), X, tmp_path / "m.skops")


@pytest.mark.parametrize("head", [stacking(["hog", "lbp"]), voting(["hog", "lbp"])])
def test_fusion(head, photographs, tmp_path):
    union = FeatureUnion([("hog", HOG()), ("lbp", LBP())]).set_output(transform="pandas")
    images = np.concatenate([photographs, photographs[:, ::-1]])
    model = make_pipeline(ImageLoader(32), union, head)
    assert_survives(model.fit(images, [0, 1] * 6), images, tmp_path / "m.skops")


@pytest.mark.parametrize(
    "features",
    [
        HOG(cells_per_block=(1, 2)),
        LBP(method="var"),
        GLCM(distances=[1, 2]),
        Gabor(),
        ColorHistogram(bins=(2, 3, 4)),
        ColorMoments(),
        BagOfVisualWords(n_words=9, random_state=0),
        FisherVector("patch", n_modes=2, patch_size=8, random_state=np.random.RandomState(0)),
    ],
    ids=lambda features: type(features).__name__,
)
def test_features(features, photographs, tmp_path):
    assert_survives(features.fit(photographs), photographs, tmp_path / "m.skops")


SCIKIT = {
    "mlp": MLPClassifier((5,), max_iter=300, tol=0.1, random_state=0),
    "mlp by sgd": MLPClassifier((5,), solver="sgd", max_iter=300, tol=0.1, random_state=0),
    "k-NN": KNeighborsClassifier(),
    "k-NN in a ball tree": KNeighborsClassifier(algorithm="ball_tree", metric="manhattan"),
    "k-NN one by one": KNeighborsClassifier(algorithm="brute", metric="cosine"),
    "radius": RadiusNeighborsClassifier(5.0),
    "svc": SVC(),
    "nu": NuSVC(kernel="poly"),
    "forest": ExtraTreesClassifier(3, random_state=0),
    "gradient": GradientBoostingClassifier(n_estimators=3, random_state=0),
    "adaboost": AdaBoostClassifier(n_estimators=3, random_state=0),
    "isolation": IsolationForest(n_estimators=3, random_state=0),
    "gaussian": GaussianProcessClassifier(1.5 * RBF() + Matern(), optimizer=None),
    "discriminant": LinearDiscriminantAnalysis(),
    "sgd": SGDClassifier(random_state=0),
    "selection": make_pipeline(SelectKBest(k=2), PCA(1), SVC()),
    "information": make_pipeline(SelectKBest(mutual_info_classif, k=2), SVC()),
    "quantiles": make_pipeline(QuantileTransformer(n_quantiles=9), LogisticRegression()),
    "ufunc": make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), SVC()),
    "columns": make_pipeline(
        ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", "passthrough", [3])]), SVC()
    ),
    "sampling": imblearn.pipeline.make_pipeline(
        imblearn.over_sampling.SMOTE(random_state=0), SVC()
    ),
}


@pytest.mark.parametrize("name", SCIKIT)
def test_scikit_learn(name, tmp_path):
    assert_survives(SCIKIT[name].fit(X, LABELS), X, tmp_path / "m.skops")


FLOAT = optuna.distributions.FloatDistribution(0.1, 1)
SEARCHES = {
    "grid": GridSearchCV(SVC(), {"C": [1, 2]}),
    "grid with splitter and scorers": GridSearchCV(
        SVC(),
        {"C": [1, 2]},
        cv=StratifiedKFold(3),
        scoring=["accuracy", "f1_macro"],
        refit="accuracy",
    ),
    "random": RandomizedSearchCV(SVC(), {"C": scipy.stats.loguniform(1, 10)}, n_iter=2),
    "optuna": OptunaSearchCV(SVC(), {"C": FLOAT}, n_trials=2),
    "optuna, random": OptunaSearchCV(
        SVC(),
        {"C": [1, 2]},
        n_trials=2,
        sampler=optuna.samplers.RandomSampler(0),
        scoring="f1_macro",
    ),
    "optuna, callable": OptunaSearchCV(
        SVC(), lambda trial: {"C": trial.suggest_float("C", 1, 2)}, n_trials=2
    ),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_searches(name, tmp_path):
    search = SEARCHES[name].fit(X, LABELS)
    before = dict(vars(search))
    again = assert_survives(search, X, tmp_path / "m.skops")
    assert vars(search) == before
    assert again.best_params_ == search.best_params_
    assert again.score(X, LABELS) == search.score(X, LABELS)
    assert set(again.cv_results_) == set(search.cv_results_)


@pytest.mark.parametrize("algorithm", ["brute", "kd_tree", "ball_tree"])
def test_neighbours_among_whole_numbers(algorithm, tmp_path):
    inputs = np.rint(10 * X).astype(np.uint8)
    model = KNeighborsClassifier(algorithm=algorithm).fit(inputs, LABELS)
    assert_survives(model, inputs, tmp_path / "m.skops")


def test_functions_of_ones_own_load_when_named(tmp_path):
    path = tmp_path / "m.skops"
    model = make_pipeline(FunctionTransformer(double), SVC()).fit(X, Y)
    name = f"{double.__module__}.double"
    assert_survives(model, X, path, trusted=[name])
    with pytest.raises(ModelFileError, match=f"does not trust: {name}"):
        load_model(path)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (FunctionTransformer(lambda values: values), "lambda"),
        (KNeighborsClassifier(p=3), "algorithm='brute'"),
        (GradientBoostingClassifier(init=LogisticRegression(max_iter=300)), "init_"),
    ],
)
def test_what_cannot_be_kept_is_refused_at_once(model, message, tmp_path):
    with pytest.raises(ModelFileError, match=rf"cannot be saved: .*{message}.*to_onnx"):
        save_model(model.fit(X, Y), tmp_path / "m.skops")
    assert not [*tmp_path.iterdir()]


def test_saving_changes_nothing_of_the_model(tmp_path, photographs):
    union = FeatureUnion([("hog", HOG()), ("lbp", LBP())]).set_output(transform="pandas")
    union.fit_transform(photographs)
    names = union._transformers_feature_names_out
    save_model(union, tmp_path / "m.skops")
    assert union._transformers_feature_names_out is names


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_the_command_line_trusts_names_that_it_is_given(command, texture_folder, tmp_path, capsys):
    path = tmp_path / "m.skops"
    images, labels = load_folder(texture_folder)
    model = make_pipeline(
        ImageLoader(32, color="gray"), HOG(), FunctionTransformer(double), LogisticRegression()
    )
    save_model(model.fit(images, labels), path)
    name = f"{double.__module__}.double"
    assert main([command, str(path), str(texture_folder)])
    assert f"does not trust: {name}" in capsys.readouterr().err
    assert main([command, str(path), str(texture_folder), "--trust", name]) == 0


def test_the_command_line_allows_places_that_it_is_given(texture_folder, tmp_path, monkeypatch):
    path = tmp_path / "m.skops"
    monkeypatch.chdir(tmp_path)
    images, labels = load_folder(texture_folder)
    features = Batched(make_pipeline(ImageLoader(32, color="gray"), HOG()))
    model = make_pipeline(features, LogisticRegression()).fit(images, labels)
    model[0].set_params(memory="cache")
    save_model(model, path)
    with pytest.warns(ModelFileWarning):
        assert main(["predict", str(path), images[0]]) == 0
    assert not (tmp_path / "cache").exists()
    assert main(["predict", str(path), images[0], "--trust", "Batched.memory"]) == 0
    assert (tmp_path / "cache").is_dir()
