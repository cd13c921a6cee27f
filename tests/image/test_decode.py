"""Decoding against Pillow, on files made here and on the hostile ones."""

import io
import struct

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from edet.image.decode import decode_image, decode_stored_pixels, exif_orientation, turn_upright
from tests.pictures import encoded as encode

_SPEC = tf.TensorSpec([], tf.string)
decode = tf.function(decode_image, input_signature=[_SPEC])
_LOSSLESS = {"WEBP": {"lossless": True}}
orientation_of = tf.function(exif_orientation, input_signature=[_SPEC])

# TensorFlow's default JPEG decoder is the fast integer DCT, Pillow's the accurate one, and CMYK
# has no colour profile: pixels differ by a few values.
JPEG_MEAN, JPEG_MAX = 2.0, 45


def picture(height=9, width=14):
    """A smooth colour picture with no symmetry, so that JPEG keeps it and a turn shows."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    channels = [250 * y / height, 250 * x / width, 125 * (y / height) + 125 * (1 - x / width)]
    return np.stack(channels, -1).astype(np.uint8)


def jpeg_with_exif(exif: bytes) -> bytes:
    return encode(Image.fromarray(picture()), "JPEG", quality=95, subsampling=0, exif=exif)


def exif_block(orientation: int, order: str = "<", kind: int = 3) -> bytes:
    """A TIFF directory with one other tag before the orientation."""
    entries = struct.pack(order + "HHIHH", 0x0100, 3, 1, 77, 0)
    entries += struct.pack(order + "HHIHH", 0x0112, kind, 1, orientation, 0)
    head = b"II*\0" if order == "<" else b"MM\0*"
    body = struct.pack(order + "IH", 8, 2) + entries + struct.pack(order + "I", 0)
    return b"Exif\0\0" + head + body


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_undone_as_pillow_does(orientation, order):
    encoded = jpeg_with_exif(exif_block(orientation, order))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB")
    decoded = decode(encoded).numpy()
    assert decoded.shape == ((14, 9, 3) if orientation >= 5 else (9, 14, 3))
    # 8: the two decoders' rounding; a wrong turn is off by more than 100.
    assert np.abs(decoded.astype(int) - np.asarray(expected)).max() <= 8
    assert int(orientation_of(encoded)) == orientation


def test_the_eight_turns_of_a_picture_of_three_pixels():
    image = tf.constant([[[1], [2], [3]]])  # one row; a column of the same after a transposition
    row, reversed_row = [[1, 2, 3]], [[3, 2, 1]]
    column, reversed_column = [[1], [2], [3]], [[3], [2], [1]]
    expected = [row, reversed_row, reversed_row, row]
    expected += [column, column, reversed_column, reversed_column]
    for orientation, pixels in enumerate(expected, start=1):
        turned = turn_upright(tf.repeat(image, 3, axis=2), tf.constant(orientation))
        np.testing.assert_array_equal(turned[..., 0], pixels, err_msg=str(orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_the_orientation_of_other_formats_is_undone_as_pillow_does(kind, orientation):
    exif = exif_block(orientation, ">")
    encoded = encode(Image.fromarray(picture()), kind, exif=exif, **_LOSSLESS.get(kind, {}))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB")
    np.testing.assert_array_equal(decode(encoded), np.asarray(expected))


def test_chunks_of_a_png_or_webp_that_are_damaged_or_too_many_mean_upright():
    png = encode(Image.fromarray(picture()), "PNG", exif=exif_block(6))
    webp = encode(Image.fromarray(picture()), "WEBP", exif=exif_block(6))
    assert int(orientation_of(png)) == int(orientation_of(webp)) == 6
    for encoded in (png, webp):
        for size in range(len(encoded) - 1):
            assert int(orientation_of(encoded[:size])) in (1, 6)
    empty = struct.pack(">I4sI", 0, b"tEXt", 0)
    start, rest = png[:33], png[33:]
    assert [int(orientation_of(start + n * empty + rest)) for n in (90, 10_000)] == [6, 1]
    assert int(orientation_of(start + struct.pack(">I", 2**32 - 1) + rest[4:])) in (1, 6)


def test_the_name_of_exif_within_another_chunk_or_without_the_flag_of_webp_is_none():
    png = encode(Image.fromarray(picture()), "PNG", exif=exif_block(6))
    start, rest = png[:33], png[33:]
    text = struct.pack(">I", len(rest)) + b"tEXt" + rest + bytes(4)
    assert int(orientation_of(start + text)) == 1  # a comment that holds all of a chunk
    assert int(orientation_of(start + text + rest)) == 6
    webp = bytearray(encode(Image.fromarray(picture()), "WEBP", exif=exif_block(6)))
    webp[20] &= ~8
    assert int(orientation_of(bytes(webp))) == 1


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"Exif\0\0XX*\0" + exif_block(6)[10:],  # no byte order
        b"Exif\0\0II+\0" + exif_block(6)[10:],  # no TIFF
        b"Exif\0\0II*\0" + struct.pack("<I", 4_000_000_000) + exif_block(6)[14:],
        b"Exif\0\0II*\0" + struct.pack("<IH", 8, 65535) + b"\xff" * 8,
        b"Exif\1\0" + exif_block(6)[6:],
        exif_block(0),
        exif_block(9),
        exif_block(6, kind=2),  # text
    ],
)
def test_malformed_exif_means_upright(exif):
    assert int(orientation_of(jpeg_with_exif(exif))) == 1


def test_exif_is_found_after_other_segments_and_not_after_the_tables():
    plain = jpeg_with_exif(b"")
    app1 = exif_block(6)
    app1 = b"\xff\xe1" + struct.pack(">H", len(app1) + 2) + app1
    other = b"\xff\xe1\0\x09http://" + b"\xff\xfe\0\x05abc"  # XMP and a comment
    assert int(orientation_of(plain[:2] + other + app1 + plain[2:])) == 6
    start_of_tables = plain.index(b"\xff\xdb")
    assert int(orientation_of(plain[:start_of_tables] + app1 + plain[start_of_tables:])) == 6
    start_of_scan = plain.index(b"\xff\xda")
    assert int(orientation_of(plain[:start_of_scan] + app1 + plain[start_of_scan:])) == 1


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(st.data())
def test_damaged_exif_never_fails(data):
    encoded = bytearray(jpeg_with_exif(exif_block(6, data.draw(st.sampled_from("<>")))))
    for _ in range(data.draw(st.integers(1, 6))):
        encoded[data.draw(st.integers(2, 70))] = data.draw(st.integers(0, 255))
    assert 1 <= int(orientation_of(bytes(encoded[: data.draw(st.integers(3, 100))]))) <= 8


def _two_tone_palette(image):
    return image.convert("P", palette=Image.Palette.ADAPTIVE, colors=7)


EXACT = {
    "png": lambda i: encode(i, "PNG"),
    "grey png": lambda i: encode(i.convert("L"), "PNG"),
    "one-bit png": lambda i: encode(i.convert("1"), "PNG"),
    "palette png": lambda i: encode(_two_tone_palette(i), "PNG"),
    "grey and alpha png": lambda i: encode(i.convert("LA"), "PNG"),
    "alpha png": lambda i: encode(_with_alpha(i), "PNG"),
    "bmp": lambda i: encode(i, "BMP"),
    "bmp with alpha": lambda i: encode(_with_alpha(i), "BMP"),
    "palette bmp": lambda i: encode(_two_tone_palette(i), "BMP"),
    "grey bmp": lambda i: encode(i.convert("L"), "BMP"),
    "gif": lambda i: encode(_two_tone_palette(i), "GIF"),
    "animated gif": lambda i: encode(
        _two_tone_palette(i), "GIF", save_all=True, append_images=[ImageOps.invert(i)]
    ),
    "webp": lambda i: encode(i, "WEBP"),
    "webp with alpha": lambda i: encode(_with_alpha(i), "WEBP", lossless=True, exact=True),
}


def _with_alpha(image):
    image = image.copy()
    image.putalpha(Image.fromarray(picture()[..., 0]))
    return image


@pytest.mark.parametrize("kind", EXACT)
def test_pixels_equal_pillow(kind):
    encoded = EXACT[kind](Image.fromarray(picture()))
    expected = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    np.testing.assert_array_equal(decode(encoded), expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_close_to_pillow(mode, progressive):
    image = Image.fromarray(picture(40, 60)).convert(mode)
    encoded = encode(image, "JPEG", quality=95, progressive=progressive)
    expected = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")).astype(int)
    difference = np.abs(decode(encoded).numpy() - expected)
    assert difference.mean() < JPEG_MEAN and difference.max() <= 8


@pytest.mark.parametrize(
    ("target", "size"),
    [
        ((80, 120), (80, 120)),
        ((41, 61), (80, 120)),  # a half would have to be magnified
        ((40, 60), (40, 60)),
        ((40, 1000), (40, 60)),  # the height decides
        ((20, 30), (20, 30)),
        ((1, 1), (10, 15)),
    ],
)
def test_a_jpeg_is_decoded_at_a_fraction_that_fills_the_target(target, size):
    pixels = picture(80, 120)
    encoded = encode(Image.fromarray(pixels), "JPEG", quality=98, subsampling=0)
    decoded = decode_stored_pixels(tf.constant(encoded), tf.constant(target)).numpy().astype(int)
    assert decoded.shape == (*size, 3)
    ratio = 80 // size[0]
    means = pixels.reshape(size[0], ratio, size[1], ratio, 3).mean((1, 3))
    assert np.abs(decoded - means).max() <= 6


def test_a_fraction_of_an_odd_size_is_rounded_up_and_other_formats_are_whole():
    image, target = Image.fromarray(picture(81, 121)), tf.constant([31, 31])
    jpeg, png = (tf.constant(encode(image, kind)) for kind in ("JPEG", "PNG"))
    assert decode_stored_pixels(jpeg, target).shape == (41, 61, 3)
    assert decode_stored_pixels(png, target).shape == (81, 121, 3)
    # As stored, a half would do (50 / 121 of the size), but not turned upright (62 / 121).
    assert decode_stored_pixels(jpeg, tf.constant([62, 50])).shape == (81, 121, 3)


def test_a_jpeg_to_be_stretched_keeps_the_pixels_of_its_larger_scale():
    """20 rows of 80 need a quarter, 100 columns of 120 all; letterboxed, the rows decide."""
    jpeg, wide = encode(Image.fromarray(picture(80, 120)), "JPEG"), tf.constant([20, 100])
    assert decode_stored_pixels(jpeg, wide).shape == (20, 30, 3)
    assert decode_stored_pixels(jpeg, wide, how="stretch").shape == (80, 120, 3)
    assert decode_stored_pixels(jpeg, tf.constant([30, 30]), how="stretch").shape == (40, 60, 3)


def test_16_bit_png_is_scaled_to_8_bits():
    values = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    decoded = decode(encode(Image.fromarray(values), "PNG"))
    np.testing.assert_array_equal(decoded[..., 1], values // 256)


@pytest.mark.parametrize(("white_level", "shift"), [(4095, 4), (1023, 2), (16383, 6), (65535, 8)])
@pytest.mark.parametrize("kind", ["PNG", "RGB"])
def test_the_white_level_scales_16_bits_and_nothing_else(white_level, shift, kind):
    values = np.arange(0, 65536, 97, np.uint16)[None]
    data = encode(Image.fromarray(values), "PNG")
    if kind == "RGB":
        data = tf.io.encode_png(np.repeat(values[..., None], 3, axis=2)).numpy()
    expected = np.minimum(values >> shift, 255)
    np.testing.assert_array_equal(decode_image(data, white_level)[..., 1], expected)
    plain = encode(Image.fromarray(picture()), "PNG")
    np.testing.assert_array_equal(decode_image(plain, white_level), picture())


def test_jpeg_pixels_are_those_of_the_decoder_that_the_reference_calls():
    encoded = encode(Image.fromarray(picture(40, 60)), "JPEG")
    expected = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    np.testing.assert_array_equal(decode(encoded), expected)


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"BM",
        b"RIFF",
        b"\xff\xd8\xff",
        b"<html>no image</html>",
        encode(Image.fromarray(picture()), "JPEG")[:-100],
        encode(Image.fromarray(picture()), "PNG")[:-40],
        encode(Image.fromarray(picture()), "BMP")[:-40],
        # A run-length encoded BMP, which TensorFlow would read as noise.
        encode(_two_tone_palette(Image.fromarray(picture())), "BMP").replace(
            struct.pack("<HHI", 1, 8, 0), struct.pack("<HHI", 1, 8, 1), 1
        ),
    ],
)
def test_what_is_no_image_is_an_error(encoded):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(encoded)


def test_decoding_works_in_a_dataset_and_a_saved_model(tmp_path):
    encoded = [jpeg_with_exif(exif_block(6)), encode(Image.fromarray(picture(14, 9)), "PNG")]
    in_map = list(tf.data.Dataset.from_tensor_slices(encoded).map(decode_image))
    module = tf.Module()
    module.decode = decode
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for one, other in zip(encoded, in_map, strict=True):
        np.testing.assert_array_equal(other, decode_image(one))
        np.testing.assert_array_equal(loaded.decode(one), decode_image(one))


BROKEN = {
    "broken.png", "empty.jpg", "garbage.jpg", "html_error.jpg", "no_palette_1x1.gif",
    "photo.avif", "truncated.bmp", "truncated.jpg", "truncated.png", "truncated_photo_half.jpg",
    "zero_width.gif",
}  # fmt: skip
# Pillow composes transparent pixels of the first frame differently, and clips 16-bit grey.
NOT_AS_PILLOW = {"animated.gif", "gray16_trns.png"}


def test_hostile_files_are_read_as_pillow_reads_them_or_refused(shared):
    folder = shared / "data" / "nasty"
    files = sorted(file for file in folder.iterdir() if file.suffix not in (".md", ".tsv"))
    assert len(files) == 45
    for file in files:
        encoded = file.read_bytes()
        if file.name in BROKEN:
            with pytest.raises(tf.errors.InvalidArgumentError):
                decode(encoded)
            continue
        decoded = decode(encoded).numpy().astype(int)
        with Image.open(file) as image:
            expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        assert decoded.shape == expected.shape, file.name
        if file.name in NOT_AS_PILLOW:
            continue
        difference = np.abs(decoded - expected)
        if encoded[:3] == b"\xff\xd8\xff":
            assert difference.mean() < JPEG_MEAN and difference.max() <= JPEG_MAX, file.name
        else:
            assert difference.max() == 0, file.name


def test_the_turned_photo_is_the_upright_photo(shared):
    folder = shared / "data" / "nasty"
    turned = decode((folder / "exif_orient6_photo.jpg").read_bytes()).numpy().astype(int)
    upright = decode((folder / "upright_photo.jpg").read_bytes()).numpy()
    # Two JPEG encodings of the same pixels.
    assert np.abs(turned - upright).mean() < 4


def test_pictures_of_other_bytes_and_sizes_keep_no_graph_each():
    """The first two sizes have one each, from which the third, for all sizes, follows."""
    counts = []
    for side in range(3, 9):
        decode_image(tf.io.encode_png(tf.zeros([side, 2 * side, 3], tf.uint8)).numpy())
        graphs = (decode_stored_pixels, turn_upright)
        counts.append([graph.experimental_get_tracing_count() for graph in graphs])
    assert counts[2] == counts[-1]
