"""The first course as a small, exact engine: NumPy only, one idea a file, every intermediate value at hand.

Arrays are float64 unless a `dtype` says otherwise; images are (N, C, H, W). Import from the file of the idea.

Border between the engine and the pages that draw it (epochs are counted from 1 in everything shown):

layer.py        Array; Layer: .name .parameters .gradients (dicts of arrays)
                .forward(x, training=False) -> y   .backward(gradient) -> gradient of x
shapes.py       convolution_size(size, kernel, stride, padding)   pooling_size(size, kernel, stride)
                transposed_size(size, kernel, stride, padding)   upsampled_size(size, factor)
perceptron.py   Perceptron(weights, threshold): .fire(inputs) -> Firing(inputs, weights, products, total, threshold,
                output)   .predict(x (N, D)) -> (N,) of 0/1
                learn(x, labels, rate=1.0, epochs=100) -> Learning(perceptron, updates: tuple[Update, ...],
                mistakes (per epoch), converged);  Update(epoch, index, output, label, weights, threshold)
                MultiLayerPerceptron(layers: tuple[(weights (out, in), thresholds (out,)), ...]):
                .fire(inputs) -> tuple of each layer's outputs, inputs first   .predict(x)   xor() -> one by hand
activations.py  step sigmoid tanh relu leaky_relu softmax and *_derivative(x); ACTIVATIONS: name -> (f, derivative)
                layers Sigmoid Tanh ReLU LeakyReLU(slope) Softmax
losses.py       MeanSquaredError BinaryCrossEntropy (of logits) CategoricalCrossEntropy (of logits, class ids):
                .each(outputs, target) -> (N,)  .value(...) -> float  .gradient(...) -> like outputs; one_hot(ids, n)
dense.py        Dense(inputs, outputs, rng=None)                     weight (outputs, inputs), bias (outputs,)
convolution.py  Convolution(channels, maps, kernel, stride=1, padding=0, padding_mode="zero"|"replicate", rng=None)
transposed_convolution.py  insert_zeros(x, stride)   TransposedConvolution(channels, maps, kernel, stride=1, padding=0)
pooling.py      MaxPooling(kernel, stride=None)   AveragePooling(kernel, stride=None)
upsampling.py   Upsampling(factor)
dropout.py      Dropout(rate, rng=None): .mask of the last pass
batch_normalisation.py  BatchNormalisation(channels): .running_mean .running_variance; min_max_normalise(x)
flatten.py      Flatten()   Reshape(shape)
residual.py     Residual(layers): y = x + layers(x)
network.py      Network(layers, loss): .forward(x, training=False)  .difference(target) -> Difference(loss, each,
                gradient)  .backpropagate() -> gradient of x   (three steps, in this order)
                .trace() -> tuple[LayerTrace(index, name, input, output, output_gradient, input_gradient, parameters,
                gradients), ...]   .learn(x, target, optimiser) -> Step(loss, updates)   .predict(x)
                .parameters() .gradients() -> {"0.dense.weight": array}
gradient_check.py  check_gradients(network, x, target) -> tuple[GradientCheck(name, analytic, numeric, error), ...]
optimisers.py   SGD(rate, weight_decay=0) Momentum(rate, momentum=.9, weight_decay=0) Adam(rate, weight_decay=0):
                .step(parameters, gradients) -> {name: what was added}
descent.py      CURVES: name -> LossCurve(name, loss, slope, low, high, start)
                descend(curve, start, rate, steps) -> tuple[Point(step, weight, loss, slope, update), ...]
surfaces.py     SURFACES: name -> Surface(name, loss(x, y), gradient(x, y), start, bounds (x0, x1, y0, y1), minima)
                walk(surface, optimiser, steps=100, start=None) -> Walk(points (T + 1, 2), losses (T + 1,), diverged)
digits.py       digits(seed=0, dtype=float64) -> Digits(images (N, 1, 8, 8) 0..1, labels, held_out_images,
                held_out_labels, held_out_indices): .rows() -> both as (N, 64)
training.py     train(network, x, target, epochs, batch_size, optimiser, validation=(x, target),
                order="shuffled"|"sorted"|"stratified", patience=None, planned=None, seed=0) -> History(curves:
                doctor.curves.Curves, step_losses, epochs, best_epoch, stopped_early, seconds)
                batches(labels, size, order, rng)   accuracy(network, x, labels)
ways_to_learn.py  compare(samples=600, seed=0) -> Comparison(ways, samples, target_loss);  Way(name, batch_size, rate,
                steps_per_epoch, peak_bytes, activation_bytes, loss_variance, seconds_per_epoch, seconds_to_target,
                epochs_to_target, step_losses, accuracy_before_new_data, accuracy_after_new_data,
                accuracy_by_order: {order: float})
experiments.py  EXPERIMENTS: name -> Experiment(name, expected: tuple[Verdict, ...], samples, ..., mends: name | None)
                run(name, seed=0), run_experiment(experiment, seed=0) -> Outcome(experiment, history, reading, lowest,
                kept);  names: not_done going_well done over_fits dropout more_data weight_decay early_stopping
cnn.py          build(rng=None, dtype=float64) -> Network    learn_digits(epochs=12, batch_size=32, seed=0,
                dtype=float32) -> Result(network, history, accuracy, seconds, held_out (indices), labels, predicted)
                feature_maps(network, image (H, W)) -> tuple[(layer name, (C, H, W)), ...]
                kernels(network) -> tuple[(layer name, (maps, channels, k, k)), ...]
autoencoder.py  build(code=8, rng=None)   learn_digits(code=8, epochs=60, seed=0) -> Result(network, history,
                inputs (N, 8, 8), codes (N, code), outputs (N, 8, 8), labels, error, linear_error)
                encode(network, x)   decode(network, codes)

`manako.samples.digits.load_digits() -> (images (1797, 8, 8) uint8 0..255, labels (1797,) int64)`.
`manako.doctor.curves.read_curves(Curves(...)) -> Reading` reads every learning curve, here and in the reports.
"""
