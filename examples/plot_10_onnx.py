"""
Exporting to ONNX
=================

A trained pipeline can be exported to an ONNX file. ONNX Runtime runs it without Python or fastnet.
"""

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import skl2onnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import fastnet as fn
from fastnet.onnx import from_onnx, register_skl2onnx, to_onnx

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X.astype(np.float32), y, random_state=0)
pipeline = make_pipeline(
    MinMaxScaler(), fn.MLPClassifier((64,), activation="gelu", early_stopping=True, random_state=0)
)
pipeline.fit(X_train, y_train)
print(f"test accuracy {pipeline.score(X_test, y_test):.3f}")

# %%
# A pipeline
# ----------
# skl2onnx converts the pipeline, after fastnet's estimators have been registered.

register_skl2onnx()
model = skl2onnx.to_onnx(pipeline, X_train[:1], options={"zipmap": False})
print([node.op_type for node in model.graph.node])

session = onnxruntime.InferenceSession(
    model.SerializeToString(), providers=["CPUExecutionProvider"]
)
label, probabilities = session.run(None, {"X": X_test})
ours = pipeline.predict_proba(X_test)
print(f"labels equal: {(label == pipeline.predict(X_test)).all()}")
print(f"largest difference {np.abs(probabilities - ours).max():.1e}")

# %%
# Each probability, from fastnet and from ONNX Runtime:

fig, ax = plt.subplots(figsize=(4.5, 4), layout="constrained")
ax.plot([0, 1], [0, 1], color="0.7")
ax.scatter(ours, probabilities, s=8)
ax.set(xlabel="probabilities, fastnet", ylabel="probabilities, ONNX Runtime")
plt.show()

# %%
# A network, exported and imported
# --------------------------------
# For a network or a single estimator ``to_onnx`` does not need skl2onnx. ``from_onnx`` reads ONNX
# files, also those that other programs have written.

net = fn.Network([fn.Dense(16, "silu"), fn.Dense(3, "softmax")], n_inputs=4, random_state=0)
again = from_onnx(to_onnx(net))
print(again, np.array_equal(again.params, net.params))
