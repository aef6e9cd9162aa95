"""The page in a real browser, over a real server with a model that ships."""

import json
import os
import re
import shutil
import time
from contextlib import ExitStack
from io import BytesIO

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread
from serving import served

from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import find_atlas, shipped_atlases
from cardiomorph.synthesis.heart_synthesis import synthesize_heart
from cardiomorph.viewer.export import frozen_page
from cardiomorph.viewer.server import PAGE, create_app
from cardiomorph.viewer.session import Choice, Session
from conftest import hearts_of, write_acdc_subject

pytestmark = pytest.mark.skipif("acdc-small" not in shipped_atlases(), reason="acdc-small does not ship here")
WAIT_MS = 60_000
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--enable-unsafe-swiftshader",
)


@pytest.fixture(scope="module")
def shipped():
    """The session of a model that ships."""
    return Session(Atlas(find_atlas("acdc-small")))


@pytest.fixture(scope="module")
def address(shipped):
    with served(create_app(shipped)) as found:
        yield found


@pytest.fixture(scope="module")
def chromium():
    """A browser. Without Chromium the test skips, unless CARDIOMORPH_BROWSER=required."""
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("CARDIOMORPH_BROWSER") == "required":
            pytest.fail("Chromium is required here and missing: apt-get install chromium")
        pytest.skip("Chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def serve():
    """Starts servers for one test and stops them when its pages are closed: a server that goes first cuts a page's
    stream, which the page rightly calls an error."""
    with ExitStack() as running:
        yield lambda app: running.enter_context(served(app))


@pytest.fixture
def open_page(chromium, serve):
    """Opens an address and waits until a heart is shown; any script error fails the test."""
    contexts, problems = [], []

    def opened(address, *, width=1280, height=720, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(error.stack))
        page.on("console", lambda message: message.type == "error" and problems.append(message.text))
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not problems


def until(page, expression):
    """Waits for an expression to hold; the page's policy forbids Playwright's own way, which evaluates text in it."""
    end = time.monotonic() + WAIT_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never came true: {expression}"
        page.wait_for_timeout(50)


def number_of(page, key):
    return float(page.locator(f"td[data-measure={key}]").inner_text().split()[0])


def pixels(page):
    """The first canvas as an array."""
    return imread(BytesIO(page.locator("canvas").first.screenshot()))


def settled(page):
    """Waits until the images have come."""
    page.wait_for_selector(".pictures:not(:has(.painting))")
    page.wait_for_timeout(300)


def test_the_page_shows_the_heart_of_the_api(open_page, address, shipped):
    page = open_page(address)
    page.get_by_label("Target disease").select_option("HCM")
    measures = shipped.scene(Choice(target="HCM", severity=0.5)).measures
    until(page, f"document.querySelector('.status').textContent.includes('{measures['lv_ef_pct']:.1f}')")
    assert number_of(page, "lv_mass_g") == pytest.approx(measures["lv_mass_g"], abs=0.5)
    settled(page)
    assert pixels(page)[..., :3].std() > 0.1
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_the_heart_is_not_mirrored(open_page, address, shipped):
    """In NIfTI's world the RV lies to the heart's right, the apex below, and the anterior wall (y = 0) in front."""
    page = open_page(address)
    facts = page.evaluate(
        """cardiomorph.first.view.nv.meshes.map(({ name, pts, tris }) => {
            const at = (index) => [...pts.slice(3 * index, 3 * index + 3)];
            let volume = 0;
            for (let t = 0; t < tris.length; t += 3) {
                const [a, b, c] = [at(tris[t]), at(tris[t + 1]), at(tris[t + 2])];
                volume += (a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2])
                    + a[2] * (b[0] * c[1] - b[1] * c[0])) / 6;
            }
            const sum = (axis) => pts.filter((_, i) => i % 3 === axis).reduce((all, p) => all + p, 0);
            const mean = (axis) => sum(axis) / (pts.length / 3);
            return { name, volume, centre: [0, 1, 2].map(mean) };
        })"""
    )
    mesh = {fact["name"]: fact for fact in facts}
    choice = Choice(**json.loads(page.evaluate("new URLSearchParams(location.hash.slice(1)).get('heart')")))
    labels = shipped.shape(choice).labels["ED"]
    columns = {name: np.argwhere(labels == code)[:, 1].mean() for name, code in (("RV", 1), ("LV", 3))}
    assert columns["RV"] < columns["LV"]
    assert mesh["RV"]["centre"][0] > mesh["LV"]["centre"][0] + 10
    widest = np.argmax((labels == 3).sum(axis=(1, 2)))
    assert (widest < labels.shape[0] / 2) == (mesh["LV"]["centre"][2] > 0), "the base is above, the apex below"
    assert all(fact["volume"] > 0 for fact in facts), "triangles face outwards"
    affine = page.evaluate("cardiomorph.first.view.nv.volumes[0].hdr.affine")
    assert np.linalg.det(np.array(affine)[:3, :3]) < 0
    assert np.all(np.diag(affine)[:3] < 0)
    settled(page)
    rv, lv = (np.argwhere(_coloured(pixels(page), colour)).mean(axis=0) for colour in ("blue", "red"))
    assert rv[1] < lv[1], "the RV stands on the left of the short axis"


def _coloured(picture, colour):
    """Where the short axis (the upper left quarter) is blue, as the RV is, or red, as the LV is."""
    quarter = picture[: picture.shape[0] // 2, : picture.shape[1] // 2]
    red, blue = quarter[..., 0], quarter[..., 2]
    return blue - red > 0.2 if colour == "blue" else red - blue > 0.2


def test_dragging_the_severity_changes_the_numbers_and_the_picture(open_page, address):
    page = open_page(address)
    page.get_by_label("Target disease").select_option("DCM")
    page.get_by_label("Severity").fill("1")
    until(page, "document.querySelector('.status').textContent.startsWith('virtual001_DCM_v01:')")
    settled(page)
    before, seen = number_of(page, "lv_ef_pct"), pixels(page)
    slider = page.get_by_label("Severity")
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 7, y)
    page.mouse.down()
    for share in (0.7, 0.4, 0.1, 0.0):
        page.mouse.move(box["x"] + share * box["width"] + 1, y)
    page.mouse.up()
    assert float(slider.input_value()) == 0
    until(page, f"document.querySelector('td[data-measure=lv_ef_pct]').textContent != '{before} %'")
    until(page, "JSON.parse(new URLSearchParams(location.hash.slice(1)).get('heart')).severity === 0")
    settled(page)
    assert number_of(page, "lv_ef_pct") > before + 20
    assert np.abs(pixels(page) - seen).mean() > 0.01


def test_a_volume_comes_home_as_the_one_that_synthesize_writes(open_page, address, shipped, tmp_path):
    page = open_page(address)
    page.get_by_role("tab", name="Export").click()
    with page.expect_download() as arriving:
        page.get_by_role("button", name="ES label").click()
    path = tmp_path / arriving.value.suggested_filename
    arriving.value.save_as(path)
    choice = Choice(**json.loads(page.evaluate("new URLSearchParams(location.hash.slice(1)).get('heart')")))
    assert path.name == f"{choice.job().name}_ES_gt.nii.gz"
    heart = synthesize_heart(shipped.atlas, choice.job())
    np.testing.assert_array_equal(np.asarray(nib.load(path).dataobj), heart.labels["ES"].array)
    with page.expect_download() as arriving:
        page.get_by_role("button", name="provenance.json").click()
    arriving.value.save_as(tmp_path / "provenance.json")
    assert json.loads((tmp_path / "provenance.json").read_text())["job"] == choice.job().model_dump(mode="json")
    assert "cardiomorph synthesize --atlas acdc-small" in page.locator(".recipe").inner_text()


def test_two_hearts_stand_side_by_side_and_differ(open_page, address):
    page = open_page(address)
    page.get_by_label("Side by side with").select_option("parent")
    page.wait_for_selector(".pictures.double")
    page.wait_for_selector("td.other")
    settled(page)
    assert page.locator("canvas:visible").count() == 2
    second = page.locator("canvas").nth(1)
    before = second.screenshot()
    page.get_by_label("mark where the labels differ").check()
    page.wait_for_timeout(1500)
    assert second.screenshot() != before


def test_the_keyboard_moves_the_crosshair_and_the_tabs(open_page, address):
    page = open_page(address)
    settled(page)
    seen = pixels(page)
    page.locator("canvas").first.focus()
    for _ in range(6):
        page.keyboard.press("PageDown")
    page.wait_for_timeout(400)
    assert np.abs(pixels(page) - seen).mean() > 0.001
    page.get_by_role("tab", name="Measurements").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", name="Wall thickness").get_attribute("aria-selected") == "true"
    assert page.get_by_role("img", name="Wall thickness at ED").is_visible()


def test_a_slider_of_the_latent_space_moves_the_heart(open_page, address):
    page = open_page(address)
    page.get_by_role("tab", name="Latent space").click()
    place = page.locator("circle.here").get_attribute("data-x")
    slider = page.get_by_label("latent dimension 1, in standard deviations")
    slider.fill("2")
    until(page, f"document.querySelector('circle.here').dataset.x != '{place}'")
    page.get_by_role("tab", name="Export").click()
    until(page, "document.querySelector('.recipe').textContent.includes('shift=')")
    assert "only the Python" in page.locator(".recipe").inner_text()


def test_the_heart_beats(open_page, address):
    page = open_page(address, width=720, height=500)
    page.get_by_label("Views").select_option("short")
    settled(page)
    with page.expect_response(re.compile("api/beat")):
        page.get_by_label("cine").check()
    canvas, seen = page.locator("canvas").first, set()
    end = time.monotonic() + 30
    while len(seen) < 3 and time.monotonic() < end:
        seen.add(canvas.screenshot())
    assert len(seen) == 3


def test_a_heart_that_there_is_not_is_said_in_words(chromium, address):
    page = chromium.new_page()
    page.goto(f'{address}#heart={{"target":"XYZ"}}')
    page.wait_for_selector(".problem:visible")
    assert "Input should be 'NOR'" in page.locator(".problem").inner_text()
    page.close()


def test_a_token_in_the_address_opens_the_page_and_leaves_the_address(chromium, open_page, serve, shipped):
    address = serve(create_app(shipped, token="s3cret"))
    page = chromium.new_page()
    page.goto(address)
    page.get_by_text("this server asks for its token").wait_for()
    page.get_by_label("Token").fill("s3cret")
    page.get_by_role("button", name="Open").click()
    page.wait_for_selector("body[data-ready]")
    page.close()
    page = open_page(f"{address}#token=s3cret")
    settled(page)
    assert "s3cret" not in page.url
    page.reload()
    page.wait_for_selector("body[data-ready]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_inaccessible(scheme, open_page, address):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(address, color_scheme=scheme, bypass_csp=True)
    settled(page)
    for tab in page.get_by_role("tab").all():
        tab.click()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_a_report_opens_beside_the_page(open_page, serve, shipped, tmp_path):
    (tmp_path / "report.html").write_text("<!doctype html><title>r</title><h1>Verdict</h1>")
    hearts = {"first": Choice(source="virtual003", target="RV", seed=2)}
    page = open_page(serve(create_app(shipped, hearts=hearts, report=tmp_path / "report.html")))
    assert page.get_by_label("Healthy parent").input_value() == "virtual003"
    with page.context.expect_page() as opening:
        page.get_by_role("button", name="Report").click()
    opening.value.get_by_role("heading", name="Verdict").wait_for()


def test_a_tablet_needs_no_sideways_scrolling(open_page, address):
    page = open_page(address, width=820, height=1180)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("canvas").first.bounding_box()["height"] > 400


def test_the_api_has_a_page_that_loads_nothing_from_elsewhere(chromium, address):
    page, asked = chromium.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}docs")
    page.get_by_text("/api/scene").wait_for()
    assert all(url.startswith((address, "data:")) for url in asked)
    page.close()


def test_the_page_of_the_api_sends_the_token(chromium, serve, shipped):
    page = chromium.new_page()
    page.goto(f"{serve(create_app(shipped, token='s3cret'))}docs")
    page.get_by_label("Token").fill("s3cret")
    page.locator("#operations-default-atlas_api_atlas_get .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    with page.expect_response(re.compile("api/atlas$")) as answer:
        page.get_by_role("button", name="Execute").click()
    assert answer.value.status == 200
    page.close()


def test_the_exported_page_opens_from_disk_and_offline(open_page, shipped, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(frozen_page(shipped, source="virtual002", severities=(0.0, 1.0), targets=("DCM", "RV")))
    assert not re.search(r'(src|href)="(?!data:)', path.read_text().split('<script type="application/json"')[0])
    page = open_page(path.as_uri(), offline=True)
    held = page.evaluate("JSON.parse(document.querySelector('#frozen').textContent)")
    assert set(held["labels"]) == {"NOR", "DCM/1", "RV/1"}, "the parent's labels are held once"
    assert set(held["scenes"]) == {"DCM/0", "DCM/1", "RV/0", "RV/1"}
    settled(page)
    assert page.get_by_label("Severity").input_value() == "1", "the nearest that was computed"
    before = number_of(page, "lv_ef_pct")
    page.get_by_label("Severity").fill("0.2")
    until(page, f"document.querySelector('td[data-measure=lv_ef_pct]').textContent != '{before} %'")
    assert number_of(page, "lv_ef_pct") > before + 20
    assert page.get_by_label("Healthy parent").input_value() == "virtual002"
    assert page.get_by_label("Severity").input_value() == "0", "the slider stops where a heart was computed"
    assert page.get_by_role("button", name="Next version").is_disabled()
    healthy = beat_volume(page)
    page.get_by_label("Severity").fill("1")
    until(page, "document.querySelector('.status').textContent.includes('_DCM_v01:')")
    assert beat_volume(page) > 1.2 * healthy, "each severity has its own beat"
    page.goto(path.as_uri() + '#heart={"source":"virtual005","target":"RV"}')
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert "holds one heart only, virtual002" in page.locator(".remark").inner_text()
    assert page.locator(".status").inner_text().startswith("virtual002_RV")


def beat_volume(page):
    """Voxels of the LV in the first moment of the beat of the heart on the screen."""
    return page.evaluate(
        """(async () => {
            const { source, state } = cardiomorph;
            const { value } = await source.beat(state.choice).next();
            return value.labels.values.filter((one) => one === 3).length;
        })()"""
    )


def test_back_and_a_reload_show_the_heart_as_it_was_looked_at(open_page, address):
    page = open_page(address)
    page.get_by_label("Target disease").select_option("HCM")
    page.get_by_label("ES", exact=True).check()
    page.get_by_label("Views").select_option("short")
    page.get_by_role("tab", name="Wall thickness").click()
    page.get_by_label("Side by side with").select_option("parent")
    page.wait_for_selector(".pictures.double")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    page.wait_for_selector(".pictures.double")
    assert page.get_by_label("Target disease").input_value() == "HCM"
    assert page.get_by_label("ES", exact=True).is_checked()
    assert page.get_by_label("Views").input_value() == "short"
    assert page.get_by_role("tab", name="Wall thickness").get_attribute("aria-selected") == "true"
    page.go_back()
    page.wait_for_selector(".pictures:not(.double)")
    page.go_back()
    until(page, "document.querySelector('[role=tab]').getAttribute('aria-selected') === 'true'")
    page.go_back()
    until(page, "document.querySelector('option[value=all]').parentElement.value === 'all'")


def test_a_drag_is_one_step_of_the_history(open_page, address):
    page = open_page(address)
    before = page.evaluate("history.length")
    page.evaluate(
        """(() => {
            const slider = document.querySelector('[aria-describedby=severity-ends]');
            for (const value of [0.6, 0.7, 0.8]) {
                slider.value = value;
                slider.dispatchEvent(new Event('input'));
            }
            slider.dispatchEvent(new Event('change'));
        })()"""
    )
    assert page.evaluate("history.length") == before + 1
    page.go_back()
    until(page, "document.querySelector('[aria-describedby=severity-ends]').value === '0.5'")


def test_a_seed_that_is_none_is_said_beside_the_field(open_page, address):
    page = open_page(address)
    page.get_by_label("Seed").fill("1.5")
    assert "whole number" in page.locator("#seed-wrong").inner_text()
    page.get_by_label("Severity").fill("0.4")
    assert page.get_by_label("Seed").input_value() == "1.5"
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Seed").press("Enter")
    assert page.locator("#seed-wrong").inner_text() == ""
    until(page, "JSON.parse(new URLSearchParams(location.hash.slice(1)).get('heart')).seed === 7")


def test_a_late_answer_does_not_move_a_slider(open_page, address):
    page = open_page(address)
    page.get_by_role("tab", name="Latent space").click()
    seen = page.evaluate(
        """(async () => {
            const slider = document.querySelector('.sliders input');
            const put = (value) => { slider.value = value; slider.dispatchEvent(new Event('input')); };
            put(1);
            const seen = new Set();
            for (let at = 0; at < 60; at++) {
                if (at === 5) put(2);
                if (at > 5) seen.add(slider.value);
                await new Promise((next) => setTimeout(next, 50));
            }
            return [...seen];
        })()"""
    )
    assert seen == ["2"]


def test_a_server_that_is_gone_is_said_and_asked_again(chromium, address):
    page = chromium.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    settled(page)
    shown = page.locator(".status").inner_text()
    page.evaluate("window.before = cardiomorph.first.labels.ED.values.slice()")
    page.route("**/api/scene", lambda route: route.abort())
    page.get_by_label("Severity").fill("1")
    page.get_by_text("the server does not answer; trying again").wait_for()
    assert page.locator(".status").inner_text() == shown
    same = "cardiomorph.first.labels.ED.values.every((one, at) => one === window.before[at])"
    until(page, same)
    page.unroute("**/api/scene")
    until(page, "document.querySelector('.status').textContent.includes('_v01:')")
    until(page, f"!({same})")
    assert not page.locator(".problem:visible").count()
    page.close()


def test_a_failed_paint_does_not_leave_the_pictures_painting(chromium, address):
    page = chromium.new_page()
    page.set_default_timeout(WAIT_MS)
    page.route("**/api/images", lambda route: route.fulfill(status=500, json={"detail": "no paint"}))
    page.goto(address)
    page.get_by_text("no paint").wait_for()
    assert page.locator(".painting").count() == 0
    page.close()


def test_the_crosshair_begins_in_the_lv_and_compared_hearts_share_the_level(open_page, address):
    page = open_page(address)
    settled(page)
    label = """(() => {
        const { view, labels } = cardiomorph.first;
        const { shape: [slices, columns, rows], values } = labels.ED;
        const [x, y, z] = view.position.map((share) => 1 - share);
        const at = [z * slices, x * columns, y * rows].map(Math.floor);
        return values[(at[0] * columns + at[1]) * rows + at[2]];
    })()"""
    assert page.evaluate(label) == 3
    page.get_by_label("Side by side with").select_option("parent")
    page.wait_for_selector("td.other")
    page.locator("canvas").nth(1).focus()
    page.keyboard.press("PageDown")
    page.wait_for_timeout(400)
    first, second = page.evaluate("[cardiomorph.first, cardiomorph.second].map(({ view }) => view.position)")
    assert first == pytest.approx(second, abs=1e-6)
    assert "healthy parent" in page.locator(".caption").nth(1).inner_text()
    page.get_by_label("mark where the labels differ").check()
    assert page.locator(".foot .legend").get_by_text("labels differ").is_visible()


def test_numbers_and_views_say_what_they_are(open_page, address, shipped):
    page = open_page(address)
    settled(page)
    counts = shipped.atlas.description["groups"]
    legend = page.locator("[role=tabpanel] .legend").inner_text()
    assert f"(n = {counts['NOR']})" in legend
    assert f"(n = {counts['DCM']})" in legend
    assert "real" not in page.locator(".facts").inner_text()
    segments = shipped.scene(Choice(target="DCM", severity=0.5)).aha["ED"].values()
    assert number_of(page, "wall_segment_max_mm") == pytest.approx(max(s for s in segments if s is not None), abs=0.06)
    marks = page.locator(".over").inner_text()
    assert all(
        word in marks for word in ("Short axis", "of 32 from the base", "septal / RV", "lateral", "apex", "20 mm")
    )


def test_a_check_says_which_ventricles_it_speaks_of(open_page, address):
    """The criterion fails where either ventricle is not smaller at ES, so its line may not speak of the LV alone."""
    line = open_page(address).locator(".checks li", has_text="smaller at ES")
    assert line.locator(".name").inner_text() == "Both ventricles smaller at ES"


def test_the_parent_is_that_of_the_heart_as_it_was_made(open_page, serve, shipped):
    hearts = {"fine": Choice(target="HCM"), "coarse": Choice(target="HCM", slices="native")}
    page = open_page(serve(create_app(shipped, hearts=hearts)))
    until(page, "document.querySelector('circle.parent') !== null")

    def native_parent(request):
        if not request.url.endswith("api/scene"):
            return False
        asked = request.post_data_json
        return asked["severity"] == 0 and asked["slices"] == "native"

    with page.expect_request(native_parent):
        page.get_by_label("From the synthesis").select_option("coarse")


def test_script_and_style_are_named_by_their_content():
    names = re.findall(r'(?:src|href)="\./(assets/[^"]+)"', (PAGE / "index.html").read_text())
    assert len(names) == 2
    assert all(re.fullmatch(r"assets/viewer-[\w-]{8}\.(js|css)", name) and (PAGE / name).is_file() for name in names)


def test_a_phone_shows_one_column_and_cuts_nothing_off(open_page, address):
    page = open_page(address, width=400, height=800)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("canvas").first.bounding_box()["height"] > 300


class TestOwnScan:
    """A person opens files of his own, and sees the heart in the whole image."""

    @pytest.fixture
    def files(self, tmp_path):
        return sorted(write_acdc_subject(tmp_path / "anna", "NOR", hearts_of("NOR")).iterdir())

    def test_opened_files_become_the_parent_in_its_whole_image(self, open_page, serve, files):
        session = Session(Atlas(find_atlas("acdc-small")))
        page = open_page(serve(create_app(session)))
        assert page.get_by_label("the whole image").is_hidden()
        page.locator("input[type=file]").set_input_files(files)
        page.locator("option[value=anna]").wait_for(state="attached")
        page.wait_for_selector("body[data-ready]")
        until(page, "document.querySelector('.status').textContent.startsWith('anna_')")
        assert "rebuilds the heart with a Dice" in page.locator(".remark").inner_text()
        scan = session.scan_measures("anna")
        until(page, f"Math.abs(document.querySelector('td.scan')?.textContent - {scan['lv_edv_ml']}) < 0.5")
        page.get_by_label("the whole image").check()
        settled(page)
        assert set(page.locator(".edge").all_inner_texts()) & {"R", "L", "A", "P"}
        nx, ny, n = session.atlas.parents["anna"].scan["ED"].label.array.shape
        shown = page.evaluate("cardiomorph.first.view.nv.volumes[0].dimsRAS.slice(1, 4)")
        assert sorted(shown) == sorted((nx, ny, n))
        # The address holds it all: after a reload it is there again.
        page.reload()
        page.wait_for_selector("body[data-ready]")
        assert page.get_by_label("the whole image").is_checked()
        # Another parent has no whole image, and the crop comes back.
        page.get_by_label("Healthy parent").select_option("virtual001")
        until(page, "document.querySelector('.status').textContent.startsWith('virtual001')")
        assert page.get_by_label("the whole image").is_hidden()

    def test_what_is_no_patient_is_said_and_the_heart_stays(self, open_page, serve, files):
        page = open_page(serve(create_app(Session(Atlas(find_atlas("acdc-small"))))))
        page.locator("input[type=file]").set_input_files([path for path in files if path.name.endswith("_gt.nii.gz")])
        page.locator(".problem").wait_for()
        assert "nothing says which is ED" in page.locator(".problem").inner_text()
        assert page.get_by_label("Healthy parent").input_value() == "virtual001"
