"""ResGen: deep residual codes generated in a number of steps that does not grow with their depth.

Kim et al., ICML 2025, arXiv 2412.10208. The first layers (codebooks) of a frame are visible, the
others masked; the model predicts the distribution of the sum of the masked codewords, a mixture of
Gaussians, and a sample of it is quantized into the masked layers. docs/resgen.md says what the
paper leaves open and what was chosen.
"""
