"""The registered model as MLflow loads it: from backscatter in dB to the calibrated probability of water.

MLflow runs this file when it loads a version ("models from code"), so no pickled object is stored or read.

MLflow keeps a copy of this file with every registered version, and each copy runs with the `drshym_pipeline` that is
installed when the version is loaded. So all names of `drshym_pipeline` that this file uses, or has used in an earlier
release, are a contract: they keep their module, their arguments and their meaning.
"""

from typing import Any

import mlflow
import numpy as np
from numpy.typing import NDArray


class FloodModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]  # exported dynamically
    """A sealed bundle with the interface of an MLflow model."""

    def load_context(self, context: Any) -> None:
        """Load the bundle that was registered with this file."""
        from pathlib import Path

        from drshym_pipeline.model.bundle import ModelBundle

        self.bundle = ModelBundle.load(Path(context.artifacts["bundle"]))
        self.network = self.bundle.build()

    # Without a type hint of `model_input`: MLflow would derive a schema from it, but the signature is registered
    # already.
    def predict(  # type: ignore[no-untyped-def]
        self,
        context: Any,
        model_input,  # noqa: ANN001
        params: dict[str, Any] | None = None,
    ) -> NDArray[np.float32]:
        """Return the probability of water.

        Args:
            context: Unused.
            model_input: (chips, bands, height, width) float32 in dB, bands VV or VV and VH, NaN where not observed.
            params: Unused.

        Returns:
            (chips, height, width) float32 in [0, 1], NaN where not observed.
        """
        from drshym_pipeline.model.inputs import network_input
        from drshym_pipeline.model.predict import predict_logits
        from drshym_pipeline.probabilities import probability

        del context, params
        db = np.asarray(model_input, dtype=np.float32)
        mode = self.bundle.serving_mode("vv_vh" if db.shape[1] > 1 else "vv")
        db = db[:, :1] if mode == "vv" else db
        inputs = np.stack([network_input(chip, self.bundle.network.bands) for chip in db])
        logits = predict_logits(self.network, inputs, device="cpu", precision="fp32")
        water = probability(logits, self.bundle.calibration[mode])
        return np.where(np.isfinite(db).all(axis=1), water, np.nan).astype(np.float32)


mlflow.models.set_model(FloodModel())
