/** Providers and routes. */
import { type MantineColorSchemeManager, MantineProvider, useMantineColorScheme } from "@mantine/core";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { createHashRouter, RouterProvider } from "react-router";
import { useSettings } from "../stores/settings";
import { ComparePage } from "../ui/compare/ComparePage";
import { DataPage } from "../ui/data/DataPage";
import { HomePage } from "../ui/home/HomePage";
import { ModelsPage } from "../ui/models/ModelsPage";
import { EditorPage } from "../ui/pipeline/EditorPage";
import { PipelinePage } from "../ui/pipeline/PipelinePage";
import { PipelinesPage } from "../ui/pipeline/PipelinesPage";
import { BundlePage } from "../ui/rate/BundlePage";
import { LivePage } from "../ui/rate/LivePage";
import { NewRatingPage } from "../ui/rate/NewRatingPage";
import { RatePage } from "../ui/rate/RatePage";
import { RatingsPage } from "../ui/rate/RatingsPage";
import { SessionPage } from "../ui/rate/SessionPage";
import { ArtefactPage } from "../ui/results/ArtefactPage";
import { RewardPage } from "../ui/reward/RewardPage";
import { RunPage } from "../ui/run/RunPage";
import { RunsPage } from "../ui/runs/RunsPage";
import { BenchmarkPage } from "../ui/settings/BenchmarkPage";
import { SettingsPage } from "../ui/settings/SettingsPage";
import { SupportPage } from "../ui/support/SupportPage";
import { WorkersPage } from "../ui/workers/WorkersPage";
import { Bare } from "./Bare";
import { ErrorBoundary } from "./ErrorBoundary";
import { Shell } from "./Shell";
import { cssVariables, theme } from "./theme";

const router = createHashRouter([
  {
    element: <Shell />,
    errorElement: <ErrorBoundary />,
    children: [
      { path: "/", element: <HomePage /> },
      { path: "/pipelines", element: <PipelinesPage /> },
      { path: "/pipelines/new", element: <EditorPage /> },
      { path: "/pipelines/:pipelineId", element: <PipelinePage /> },
      { path: "/artefacts/:artefactId", element: <ArtefactPage /> },
      { path: "/compare", element: <ComparePage /> },
      { path: "/ratings", element: <RatingsPage /> },
      { path: "/ratings/new", element: <NewRatingPage /> },
      { path: "/ratings/:ratingId", element: <SessionPage /> },
      { path: "/reward/new", element: <RewardPage /> },
      { path: "/runs", element: <RunsPage /> },
      { path: "/runs/:runId", element: <RunPage /> },
      { path: "/data", element: <DataPage /> },
      { path: "/models", element: <ModelsPage /> },
      { path: "/workers", element: <WorkersPage /> },
      { path: "/settings", element: <SettingsPage /> },
      { path: "/settings/benchmark", element: <BenchmarkPage /> },
      { path: "/webgpu", element: <SupportPage /> },
    ],
  },
  {
    // Raters see no menu: nothing there is theirs, and results would unblind them.
    element: <Bare />,
    errorElement: <ErrorBoundary />,
    children: [
      { path: "/rate/:session", element: <RatePage /> },
      { path: "/rate/file/:digest", element: <BundlePage /> },
      { path: "/live/:code?", element: <LivePage /> },
    ],
  },
]);

/** The settings store owns the colour scheme (IndexedDB, loaded before the first render); Mantine only follows it. */
const schemeManager: MantineColorSchemeManager = {
  get: () => useSettings.getState().colorScheme,
  set: () => undefined,
  subscribe: () => undefined,
  unsubscribe: () => undefined,
  clear: () => undefined,
};

export function App({ nonce }: { readonly nonce: string }) {
  return (
    <MantineProvider
      theme={theme}
      cssVariablesResolver={cssVariables}
      colorSchemeManager={schemeManager}
      defaultColorScheme="auto"
      getStyleNonce={() => nonce}
    >
      <FollowSettings />
      <RouterProvider router={router} />
    </MantineProvider>
  );
}

/** Applies a change of language or colour scheme to the document. */
function FollowSettings() {
  const { i18n } = useTranslation();
  const language = useSettings((state) => state.language);
  const colorScheme = useSettings((state) => state.colorScheme);
  const { setColorScheme } = useMantineColorScheme();
  useEffect(() => {
    document.documentElement.lang = language;
    if (i18n.language !== language) void i18n.changeLanguage(language);
  }, [language, i18n]);
  useEffect(() => {
    setColorScheme(colorScheme);
  }, [colorScheme, setColorScheme]);
  return null;
}
