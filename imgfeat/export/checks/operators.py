"""The operators that a file may contain: those that `to_onnx` writes, and those of networks.

Operators for loops, sequences, optional values, strings, random numbers and losses are not allowed:
no pipeline contains them, and a loop may never end. Scan is allowed, because it always ends, and
skl2onnx's converters for nearest neighbours use it.
"""

_STANDARD = """
Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool
BatchNormalization BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Celu
CenterCropPad Clip Col2Im Compress Concat Constant ConstantOfShape Conv ConvInteger
ConvTranspose Cos Cosh CumSum DFT DeformConv DepthToSpace DequantizeLinear Det Div Dropout
DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather
GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater
GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish Hardmax Identity If
InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log
LogSoftmax LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxUnpool Mean
MeanVarianceNormalization Min Mish Mod Mul Neg NonZero Not OneHot Or PRelu Pad Pow QLinearConv
QLinearMatMul QuantizeLinear RMSNormalization RNN Range Reciprocal ReduceL1 ReduceL2
ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
Relu Reshape Resize RoiAlign RotaryEmbedding Round STFT Scan ScatterElements ScatterND Selu Shape
Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt
Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze
Upsample Where Xor
"""
_ML = """
ArrayFeatureExtractor Binarizer FeatureVectorizer Imputer LabelEncoder LinearClassifier
LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler
TreeEnsembleClassifier TreeEnsembleRegressor
"""
# By operator domain.
OPERATORS = {
    "": frozenset(_STANDARD.split()),
    "ai.onnx.ml": frozenset(_ML.split()),
}
# Positions of the inputs that determine the size of the result.
SIZE_INPUTS = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "EyeLike": (),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Resize": (2, 3),
    "Tile": (1,),
    "Upsample": (1,),
    "CenterCropPad": (1,),
}
# Operators whose result has at most as many elements as their first input.
SIZE_PRESERVING = frozenset(
    """
    Abs Cast Ceil Constant CumSum DequantizeLinear Dropout Erf Exp Flatten Floor Identity IsNaN Log
    Neg Not QuantizeLinear Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
    ReduceSumSquare Relu Reshape Round Shape Sigmoid Sign Size Slice Softmax Split Sqrt Squeeze Tanh
    Transpose Trilu Unsqueeze
    """.split()  # noqa: SIM905
)
# Operators whose result has the shape to which their inputs are broadcast.
ELEMENTWISE = frozenset(
    """
    Add And Clip Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or Pow Sub
    Sum Where Xor
    """.split()  # noqa: SIM905
)
